#include "kms/cli/guest_client.hpp"

#include "kms/cli/guest_options.hpp"
#include "kms/client/kms_client.hpp"
#include "kms/evidence/json_reader.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/evidence/scale.hpp"
#include "kms/guest/guest_agent.hpp"
#include "kms/keys/profiles.hpp"
#include "kms/onboard/source_answers.hpp"
#include "kms/rpc/app_certificate.hpp"
#include "kms/rpc/csr.hpp"
#include "kms/rpc/json_writer.hpp"
#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <unistd.h>

namespace kms::cli {
namespace {

using runtime::Deadline;
using runtime::Task;
using std::chrono::microseconds;

enum Exit { kDone = 0, kRefused = 1, kUsage = 2, kNoAnswer = 3 };

/// What became of a run: each step that ended with its span, and why the last one failed.
struct Protocol {
    struct Step {
        std::string name;
        microseconds took;
    };
    std::vector<Step> steps;
    std::string failed_step, failure;
    Exit status = kDone;
    std::size_t certificates = 0;
};

/// Names and times one step after the other.
class Stopwatch {
  public:
    Stopwatch(runtime::Clock& clock, Protocol& protocol)
        : clock_(clock), protocol_(protocol), began_(clock.now()) {}
    void begin(std::string name) {
        name_ = std::move(name);
        began_ = clock_.now();
    }
    void end() {
        protocol_.steps.push_back(
            {name_, std::chrono::duration_cast<microseconds>(clock_.now() - began_)});
    }
    void fail(Exit status, std::string why) {
        protocol_.failed_step = name_;
        protocol_.failure = std::move(why);
        protocol_.status = status;
    }

  private:
    runtime::Clock& clock_;
    Protocol& protocol_;
    runtime::TimePoint began_;
    std::string name_;
};

/// A KMS that was reached and said no is another matter than one that was not.
Exit status_of(const RpcError& error) {
    return error.chain.front().starts_with("Request failed with status=") ? kRefused : kNoAnswer;
}

/// The server's certificate must be one that a KMS has for its RPC listener.
Task<tl::expected<void, RpcError>> check_usage(std::optional<crypto::LeafCertificate> certificate,
                                               Deadline) {
    if (!certificate) co_return tl::make_unexpected(RpcError("the KMS presented no certificate"));
    const auto usage = certificate->payload(crypto::CustomExtension::special_usage);
    if (!usage || !*usage || runtime::as_text(**usage) != "kms:rpc")
        co_return tl::make_unexpected(
            RpcError("the certificate of the server is not that of a KMS (special usage kms:rpc)"));
    co_return tl::expected<void, RpcError>();
}

/// Evidence bound to a key. It is not judged here: that is what the KMS is for.
Task<Result<Attestation>> evidence_for(GuestAgent& agent, crypto::P256Point key,
                                       Deadline deadline) {
    const auto spki = crypto::spki_der(key);
    CO_TRY(const Bytes bytes, co_await agent.attest(ratls_report_data(spki), deadline));
    co_return decode_attestation(bytes);
}

/// A signing request of version 2, in the layout that takes both forms of an attestation.
Bytes signing_request(const crypto::P256Point& key, const GuestOptions& options,
                      const Attestation& evidence) {
    Bytes out;
    scale::append_text(out, kCsrConfirmation);
    scale::append_bytes(out, crypto::spki_der(key));
    out.push_back(0);  // no organisation
    scale::append_text(out, options.common_name);
    const bool has_alt_name = !options.alt_name.empty();
    scale::append_compact(out, has_alt_name ? 1 : 0);
    if (has_alt_name) scale::append_text(out, options.alt_name);
    // For servers and for clients; with evidence; without app info and dates of its own.
    out.insert(out.end(), {1, 1, 1, 0, 0, 0});
    const Bytes encoded = encode_attestation(evidence);
    out.insert(out.end(), encoded.begin(), encoded.end());
    return out;
}

/// Reads `member` of an object, a text or a list of texts, and returns how many non-empty texts.
Result<std::vector<std::string>> texts_of(std::string_view body, std::string_view member) {
    std::vector<std::string> found;
    JsonReader reader(body);
    TRY_VOID(reader.enter_object());
    for (;;) {
        TRY(const bool more, reader.next());
        if (!more) return found;
        TRY(const std::string_view name, reader.name());
        if (name != member) {
            TRY_VOID(reader.skip());
            continue;
        }
        if (reader.peek() != JsonReader::Kind::array) {
            TRY(const std::string_view text, reader.text());
            found.emplace_back(text);
            continue;
        }
        TRY_VOID(reader.enter_array());
        for (;;) {
            TRY(const bool another, reader.next());
            if (!another) break;
            TRY(const std::string_view text, reader.text());
            found.emplace_back(text);
        }
    }
}

/// The three keys of an answer, which must all be there.
Result<void> check_keys(std::string_view body) {
    constexpr std::size_t kHexKey = 64;
    for (const std::string_view name : {"disk_crypt_key", "env_crypt_key", "k256_key"}) {
        auto found = texts_of(body, name);
        if (!found) return std::move(found.error());
        const bool whole = found->size() == 1 && found->front().size() == kHexKey;
        for (std::string& text : *found) runtime::wipe(text);
        if (!whole)
            return Error{ErrorCode::invalid_argument,
                         "the answer lacks a key of 32 bytes called " + std::string(name)};
    }
    return {};
}

Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    const bool written =
        file >= 0 && ::fchmod(file, mode) == 0 &&
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    const bool closed = file >= 0 && ::close(file) == 0;
    if (!written || !closed) return Error{ErrorCode::unavailable, "cannot write '" + path + "'"};
    return {};
}

class Guest {
  public:
    Guest(boost::asio::io_context& io, runtime::Clock& clock, const GuestOptions& options,
          const std::string& agent_address, Protocol& protocol)
        : clock_(clock),
          options_(options),
          protocol_(protocol),
          watch_(clock, protocol),
          http_(io.get_executor(), clock,
                {.max_in_flight = 1, .kept_connections = 0, .user_agent = {}}),
          agent_(http_, clock,
                 {.address = agent_address,
                  .limit = options.limit,
                  .connect_limit = std::chrono::seconds(5)}),
          url_(prpc_url(options.kms_url)) {}

    ~Guest() { runtime::wipe(key_pem_); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    Task<void> boot(Deadline deadline) {
        // Statement by statement: GCC 12 evaluates what stands behind || and co_await too early.
        const auto ca = co_await temp_ca(deadline);
        if (!ca) co_return;
        const bool configured = co_await find_vm_config(deadline);
        if (!configured) co_return;
        const bool certified = co_await make_certificate(*ca, deadline);
        if (!certified) co_return;
        const bool released = co_await fetch_keys(deadline);
        if (released && options_.sign) co_await have_signed(deadline);
    }

  private:
    KmsClientOptions client_options() const {
        KmsClientOptions options;
        options.base_url = url_;
        options.trust.root_pem = root_pem_;
        options.trust.check_name = options_.check_name;
        options.client_certificate_pem = certificate_pem_;
        options.client_key_pem = key_pem_;
        options.limit = options_.limit;
        return options;
    }
    bool fail(const Error& error) {
        watch_.fail(kNoAnswer, error.context);
        return false;
    }
    bool fail(const RpcError& error) {
        watch_.fail(status_of(error), error.text());
        return false;
    }

    Task<std::optional<TempCa>> temp_ca(Deadline deadline) {
        watch_.begin("temp-ca");
        KmsClientOptions options = client_options();
        // Nobody is known yet; the root that comes back is what the next connections are held to.
        options.trust.check_chain = options.trust.check_name = false;
        KmsClient client(http_, clock_, std::move(options));
        auto answer = co_await client.call("GetTempCaCert", "null", deadline);
        if (!answer) {
            fail(answer.error());
            co_return std::nullopt;
        }
        auto root = texts_of(*answer, "ca_cert");
        auto ca = parse_temp_ca(*answer);
        runtime::wipe(*answer);
        if (!root || root->size() != 1) {
            watch_.fail(kNoAnswer, "the answer lacks the root certificate of the KMS");
            co_return std::nullopt;
        }
        if (!ca) {
            fail(ca.error());
            co_return std::nullopt;
        }
        root_pem_ = std::move(root->front());
        watch_.end();
        co_return std::move(*ca);
    }

    /// What the guest was started with, which a certificate of the older form does not say.
    Task<bool> find_vm_config(Deadline deadline) {
        vm_config_ = options_.vm_config;
        if (!vm_config_.empty()) co_return true;
        watch_.begin("info");
        auto told = co_await agent_.vm_config(deadline);
        if (!told) co_return fail(told.error());
        vm_config_ = std::move(*told);
        watch_.end();
        co_return true;
    }

    Task<bool> make_certificate(const TempCa& ca, Deadline deadline) {
        watch_.begin("attest");
        const auto key = crypto::P256Key::generate();
        if (!key) co_return fail(key.error());
        const auto evidence = co_await evidence_for(agent_, key->public_point(), deadline);
        if (!evidence) co_return fail(evidence.error());
        watch_.end();

        watch_.begin("certificate");
        auto certificate = crypto::issue_certificate(
            keys::ra_tls_profile(key->public_point(), extension_of(*evidence)),
            {ca.subject_name, ca.key}, clock_.wall_now());
        if (!certificate) co_return fail(certificate.error());
        certificate_pem_ = std::move(*certificate);
        key_pem_ = std::string(key->pkcs8_pem().text());
        if (!options_.identity_file.empty()) {
            std::string both = certificate_pem_ + key_pem_;
            const auto written = write_file(options_.identity_file, both, 0600);
            runtime::wipe(both);
            if (!written) co_return fail(written.error());
        }
        watch_.end();
        co_return true;
    }

    /// Events of version 2 need the whole attestation; the usual form is the one that every KMS
    /// reads.
    static crypto::AttestationExtension extension_of(const Attestation& evidence) {
        if (evidence.form != AttestationForm::v1) return attestation_extension(evidence);
        crypto::AttestationExtension extension;
        extension.attestation = encode_attestation(evidence);
        return extension;
    }

    Task<bool> fetch_keys(Deadline deadline) {
        watch_.begin("app-key");
        KmsClient client(http_, clock_, client_options(), check_usage);
        std::string arguments;
        JsonObject(arguments).number("api_version", 1).text("vm_config", vm_config_).finish();
        auto answer = co_await client.call("GetAppKey", std::move(arguments), deadline);
        if (!answer) co_return fail(answer.error());
        const auto whole = check_keys(*answer);
        Result<void> written;
        if (whole && !options_.keys_file.empty())
            written = write_file(options_.keys_file, *answer, 0600);
        runtime::wipe(*answer);
        if (!whole) co_return fail(whole.error());
        if (!written) co_return fail(written.error());
        watch_.end();
        co_return true;
    }

    Task<bool> have_signed(Deadline deadline) {
        watch_.begin("attest-again");
        const auto key = crypto::P256Key::generate();
        if (!key) co_return fail(key.error());
        const auto evidence = co_await evidence_for(agent_, key->public_point(), deadline);
        if (!evidence) co_return fail(evidence.error());
        watch_.end();

        watch_.begin("sign-cert");
        const Bytes csr = signing_request(key->public_point(), options_, *evidence);
        const auto signature = key->sign(csr);
        if (!signature) co_return fail(signature.error());
        std::string arguments;
        JsonObject(arguments)
            .number("api_version", 2)
            .bytes("csr", runtime::as_text(csr))
            .bytes("signature", runtime::as_text(*signature))
            .text("vm_config", vm_config_)
            .finish();
        KmsClient client(http_, clock_, client_options(), check_usage);
        if (!options_.sign_request_file.empty())
            if (const auto written = write_file(options_.sign_request_file, arguments, 0644);
                !written)
                co_return fail(written.error());
        auto answer = co_await client.call("SignCert", std::move(arguments), deadline);
        if (!answer) co_return fail(answer.error());
        const auto chain = texts_of(*answer, "certificate_chain");
        if (!chain) co_return fail(chain.error());
        const auto leaf = chain->empty()
                              ? Result<crypto::CertificateFacts>(Error{
                                    ErrorCode::invalid_argument, "the answer holds no certificate"})
                              : crypto::read_certificate(chain->front());
        if (!leaf) co_return fail(leaf.error());
        if (leaf->public_key != key->public_point()) {
            watch_.fail(kNoAnswer, "the signed certificate is for another key");
            co_return false;
        }
        protocol_.certificates = chain->size();
        if (!options_.chain_file.empty()) {
            std::string all;
            for (const std::string& one : *chain) all += one;
            const auto written = write_file(options_.chain_file, all, 0644);
            if (!written) co_return fail(written.error());
        }
        watch_.end();
        co_return true;
    }

    runtime::Clock& clock_;
    const GuestOptions& options_;
    Protocol& protocol_;
    Stopwatch watch_;
    runtime::CurlHttpClient http_;
    GuestAgent agent_;
    std::string url_, root_pem_, vm_config_, certificate_pem_, key_pem_;
};

std::string milliseconds_text(microseconds span) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", static_cast<double>(span.count()) / 1000.0);
    return text;
}

void print_lines(const Protocol& protocol) {
    for (const auto& step : protocol.steps)
        std::printf("%-13s %9s ms\n", step.name.c_str(), milliseconds_text(step.took).c_str());
    if (protocol.status == kDone) {
        std::printf("the KMS released the keys of the application%s\n",
                    protocol.certificates > 0 ? " and signed a certificate" : "");
        return;
    }
    std::fflush(stdout);
    std::fprintf(stderr, "dstack-kms guest-client: %s at step %s: %s\n",
                 protocol.status == kRefused ? "refused" : "failed", protocol.failed_step.c_str(),
                 protocol.failure.c_str());
}

void print_json(const Protocol& protocol) {
    constexpr std::string_view kResults[] = {"done", "refused", "usage", "no-answer"};
    std::string text;
    JsonObject object(text);
    object.text("result", kResults[static_cast<std::size_t>(protocol.status)])
        .text("step", protocol.failed_step)
        .text("reason", protocol.failure)
        .number("certificates", protocol.certificates)
        .member("steps_ms");
    text += '{';
    for (const auto& step : protocol.steps)
        text +=
            (text.back() == '{' ? "\"" : ",\"") + step.name + "\":" + milliseconds_text(step.took);
    text += '}';
    object.finish();
    std::printf("%s\n", text.c_str());
}

std::string agent_address(const GuestOptions& options, const char* environment) {
    if (!options.agent.empty()) return options.agent;
    if (environment != nullptr && *environment != '\0') return environment;
    return default_guest_agent_address(
        [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; });
}

}  // namespace

std::optional<int> run_guest_client(std::span<char*> words, const char* environment_address) {
    if (words.size() < 2 || std::string_view(words[1]) != "guest-client") return std::nullopt;
    const auto options = parse_guest_options(words.subspan(2));
    if (!options) {
        std::fprintf(stderr, "dstack-kms guest-client: %s\n", options.error().context.c_str());
        return kUsage;
    }
    if (options->help) {
        std::fputs(std::string(guest_help()).c_str(), stdout);
        return kDone;
    }
    runtime::forbid_core_dumps();
    boost::asio::io_context io(1);
    runtime::SystemClock clock;
    Protocol protocol;
    std::exception_ptr failure;
    {
        Guest guest(io, clock, *options, agent_address(*options, environment_address), protocol);
        boost::asio::co_spawn(io, guest.boot(Deadline::after(clock.now(), options->limit)),
                              [&failure, &io](std::exception_ptr thrown) {
                                  failure = std::move(thrown);
                                  io.stop();
                              });
        io.run();
    }
    if (failure) std::rethrow_exception(failure);
    options->as_json ? print_json(protocol) : print_lines(protocol);
    return protocol.status;
}

}  // namespace kms::cli
