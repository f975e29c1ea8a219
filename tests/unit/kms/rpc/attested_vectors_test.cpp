// The recorded exchanges of attested callers, played to KmsService with the program's own verifier:
// same status, same answer, same questions to the webhook.
#include "kms/crypto/der.hpp"
#include "kms/crypto/leaf_certificate.hpp"
#include "kms/crypto/pem.hpp"
#include "tests/support/recorded_collateral.hpp"
#include "tests/support/recorded_exchange.hpp"
#include "tests/unit/kms/service_fixture.hpp"

#include <cstring>
#include <optional>
#include <regex>

#include <boost/json/serialize.hpp>

using kms::crypto::first_pem_block;
using test_support::body_text;
using test_support::request_of;
using test_support::text_at;
namespace json = boost::json;
namespace der = kms::crypto::der;

namespace {

/// Where the product differs on purpose: the status, and words of the answer.
struct Difference {
    const char* name;
    unsigned status;
    const char* words;
    const char* why;
};
constexpr Difference kDifferences[] = {
    {"attestation/v0-trailing", 400, "Failed to decode attestation from cert extension",
     "bytes behind an attestation are refused (4.2)"},
    {"SignCert/neg/trailing-bytes-(un)?signed", 400, "Failed to parse csr",
     "bytes behind a request are refused (6.6)"},
    {"SignCert/neg/v1-sent-as-v0", 200, "certificate_chain", "version 0 is accepted (13)"},
    {"SignCert/v2B/to-E", 200, "certificate_chain", "layout B is accepted (13)"},
    {"SignCert/neg/v2-sent-as-v1", 400, "Failed to parse csr",
     "bytes behind a request are refused (6.6)"},
    {"webhook/GetAppKey/redirect-302", 400, "Failed to check boot auth",
     "redirects are not followed"},
};
/// Where the outermost sentence is the original's, and the causes are told in words of our own.
constexpr const char* kOwnWords[] = {
    "attestation/"
    "(log-missing-field|log-object|quote-.*|v0-.*|ext8-.*|log-0x-hex|log-not-json|log-empty)",
    "GetAppKey/(config-.*|vm_config/.*)/?v?0?",
    "webhook/GetAppKey/.*",
    "SignCert/neg/"
    "(v1-sent-as-v2|bool-2|v1-no-quote|v1-no-log|pubkey-garbage|pubkey-trailing-bound)",
};
/// Not here: what the end-to-end test of GetMeta plays.
constexpr const char* kElsewhere = "webhook/GetMeta/.*";

bool matches(const std::string& name, const char* pattern) {
    return std::regex_match(name, std::regex(pattern));
}

const Difference* difference_of(const std::string& name) {
    for (const Difference& row : kDifferences)
        if (matches(name, row.name)) return &row;
    return nullptr;
}

bool has_own_words(const std::string& name) {
    for (const char* pattern : kOwnWords)
        if (matches(name, pattern)) return true;
    return false;
}

std::string der_of_pem(const std::string& pem) {
    if (pem.find("BEGIN") == std::string::npos) return {};
    const auto block = first_pem_block(pem);
    REQUIRE(block.has_value());
    return std::string(block->text());
}

/// Everything of a certificate but its end date and its signature.
std::string comparable(const std::string& pem) {
    const std::string certificate = der_of_pem(pem);
    der::Peeler outer(runtime::as_bytes(certificate));
    der::Peeler parts(*outer.take(der::kSequence));
    der::Peeler body(*parts.take(der::kSequence));
    std::string out;
    for (int part = 0; !body.at_end(); ++part) {
        const auto element = body.take_any();
        REQUIRE(element.has_value());
        if (part == 4) {  // validity: only its begin
            der::Peeler validity(*der::Peeler(*element).take(der::kSequence));
            out += runtime::to_hex(*validity.take_any()) + "\n";
        } else {
            out += runtime::to_hex(*element) + "\n";
        }
    }
    return out;
}

/// Certificates inside a JSON text, each made comparable. By hand: std::regex goes one stack frame
/// deeper per character.
std::string with_comparable_certificates(const std::string& text) {
    constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
    constexpr std::string_view kEnd = "-----END CERTIFICATE-----\\n";
    std::string out;
    std::size_t at = 0;
    for (std::size_t begin = text.find(kBegin); begin != std::string::npos;
         begin = text.find(kBegin, at)) {
        const std::size_t end = text.find(kEnd, begin);
        REQUIRE(end != std::string::npos);
        std::string pem;
        for (std::size_t i = begin; i < end + kEnd.size(); ++i) {
            if (text.compare(i, 2, "\\n") == 0) {
                pem += '\n';
                ++i;
            } else {
                pem += text[i];
            }
        }
        out.append(text, at, begin - at).append("<").append(comparable(pem)).append(">");
        at = end + kEnd.size();
    }
    return out.append(text, at);
}

/// Two fields that later versions add to GetAppEnvEncryptPubKey (6.5).
std::string without_later_fields(const std::string& text) {
    static const std::regex kLater(R"(,"timestamp":\d+,"signature_v1":"[0-9a-f]{130}"\})");
    return std::regex_replace(text, kLater, "}");
}

/// The protobuf form holds certificates of other lengths: its fields are compared.
std::string comparable_protobuf(const std::string& body) {
    std::string out;
    runtime::Reader reader(runtime::as_bytes(body));
    const auto varint = [&] {
        std::uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            const auto byte = reader.u8();
            REQUIRE(byte.has_value());
            value |= std::uint64_t{*byte & 0x7FU} << shift;
            if (*byte < 0x80) return value;
        }
    };
    while (!reader.at_end()) {
        const std::uint64_t key = varint();
        REQUIRE((key & 7) == 2);
        const auto value = reader.take(varint());
        REQUIRE(value.has_value());
        const std::string text(runtime::as_text(*value));
        out += std::to_string(key >> 3) + ": " +
               (text.starts_with("-----BEGIN CERT") ? comparable(text) : runtime::to_hex(*value)) +
               "\n";
    }
    return out;
}

test::FakeHttpClient::Reply webhook_reply(const json::value* answer,
                                          const runtime::HttpClientRequest& request) {
    using Reply = test::FakeHttpClient::Reply;
    static const json::object kNothing;
    const json::object& spec = answer == nullptr ? kNothing : answer->as_object();
    if (spec.contains("reset") || spec.contains("cl_add"))
        return Reply::fault(runtime::HttpFault::closed);
    const unsigned status =
        spec.contains("status") ? static_cast<unsigned>(spec.at("status").as_int64()) : 200U;
    if (spec.contains("raw")) return Reply::ok(std::string(spec.at("raw").as_string()), status);
    if (request.method == "GET")
        return Reply::ok(
            R"({"status":"ok","kmsContractAddr":"0x1234567890123456789012345678901234567890",)"
            R"("gatewayAppId":"0xabcdefabcdefabcdefabcdefabcdefabcdefabcd","chainId":31337,)"
            R"("appImplementation":"0x5678567856785678567856785678567856785678"})",
            status);
    if (spec.contains("allow")) return Reply::ok(json::serialize(spec.at("allow")), status);
    return Reply::ok(
        R"({"isAllowed":true,"gatewayAppId":"0xabcdefabcdefabcdefabcdefabcdefabcdefabcd","reason":""})",
        status);
}

struct Recording {
    json::value cases, certificates;
};

std::optional<Recording> recording(const std::string& file) {
    const auto text = test_support::shared_kms_text("peer/" + file);
    const auto certificates = test_support::shared_kms_text("peer/client_certs.json");
    if (!text || !certificates) return std::nullopt;
    return Recording{json::parse(*text), json::parse(*certificates)};
}

struct Played {
    runtime::HttpServerReply reply;
    std::vector<std::pair<std::string, std::string>> questions;  ///< path, body
};

Played play(const json::value& one, const json::value& certificates, bool quotes_enabled = false) {
    const json::object& fields = one.as_object();
    const bool dev = fields.contains("instance") && text_at(one, "instance") == "dev";
    ServiceFixture f(
        {.quotes = quotes_enabled,
         .dev = dev,
         .authority = dev ? kms::AuthorityKind::everybody : kms::AuthorityKind::webhook,
         .verifier = [&one](auto executor, auto& clock, auto& workers) {
             static const auto pki = test_support::PeerPki::read();
             const bool late = text_at(one, "name") == "GetAppKey/tcb-out-of-date";
             return test_support::verifier_with(
                 executor, clock, workers, late ? pki.out_of_date : pki.up_to_date, *pki.anchor);
         }});
    f.webhook_answer = kms::ChainFacts{"0xabcdefabcdefabcdefabcdefabcdefabcdefabcd",
                                       "0x1234567890123456789012345678901234567890",
                                       "0x5678567856785678567856785678567856785678", 31337};
    const json::value* answer = fields.if_contains("webhook_answer");
    f.http.handle([answer](const auto& request) { return webhook_reply(answer, request); });
    auto request = request_of(one.at("request"));
    if (const auto* id = fields.if_contains("client_cert"))
        request.client_certificate =
            der_of_pem(text_at(certificates.at(id->as_string()), "cert_pem"));
    Played played{f.send(std::move(request)), {}};
    for (const auto& asked : f.http.asked()) {
        const std::string url = asked.request.url;
        played.questions.emplace_back(url.substr(url.find('/', 8)), asked.request.body);
    }
    return played;
}

void check_answer(const json::value& one, const Played& played) {
    const std::string name = text_at(one, "name");
    const json::value& recorded = one.at("response");
    const auto& reply = played.reply;
    if (const Difference* difference = difference_of(name)) {
        INFO("differs on purpose: " << difference->why);
        CHECK(reply.status == difference->status);
        CHECK_THAT(reply.body, Catch::Contains(difference->words));
        return;
    }
    CHECK(reply.status == static_cast<unsigned>(recorded.at("status").as_int64()));
    const std::string expected = body_text(recorded.at("body"));
    if (reply.content_type == "application/octet-stream") {
        CHECK(comparable_protobuf(reply.body) == comparable_protobuf(expected));
    } else if (reply.status == 200) {
        std::string ours = with_comparable_certificates(without_later_fields(reply.body));
        // An IP literal is written as an iPAddress, too (3.2); names must agree without it.
        if (name.find("ip-san") == std::string::npos)
            CHECK(ours == with_comparable_certificates(expected));
    } else if (has_own_words(name)) {
        const auto outermost = [](const std::string& text) {
            return text.substr(0, std::min(text.find("\\n\\nCaused"), text.find(':', 14)));
        };
        CHECK(outermost(reply.body) == outermost(expected));
    } else {
        CHECK(reply.body == expected);
    }
}

void check_questions(const json::value& one, const Played& played) {
    const json::value* recorded = one.as_object().if_contains("webhook_requests");
    if (recorded == nullptr || difference_of(text_at(one, "name")) != nullptr) return;
    std::vector<std::pair<std::string, std::string>> expected;
    for (const auto& request : recorded->as_array())
        if (text_at(request, "method") == "POST")
            expected.emplace_back(text_at(request, "path"), text_at(request, "body"));
    CHECK(played.questions == expected);
}

}  // namespace

TEST_CASE("attested callers of the original get the original's answers") {
    const auto recorded = recording("attested_E.json");
    if (!recorded) return;
    std::size_t played = 0;
    for (const auto& one : recorded->cases.at("cases").as_array()) {
        const std::string name = text_at(one, "name");
        if (matches(name, kElsewhere)) continue;
        INFO(name);
        const Played outcome = play(one, recorded->certificates);
        check_answer(one, outcome);
        check_questions(one, outcome);
        ++played;
    }
    CHECK(played > 150);
}

/// Where the newest version differs from the one that we follow, with the section that says so.
/// `ours` is our status when it is not theirs.
struct Newest {
    const char* name;
    unsigned ours;
    const char* why;
};
constexpr Newest kNewestDiffers[] = {
    {"admin/.*", 0, "the admin listener came later; we have none (1.1, 13)"},
    {"(health|metrics|GET /)", 0, "pages of their own words; ours are in docs/rpc.md (1.5, 13)"},
    {"ClearImageCache/.*", 0, "moved to the admin listener there; we keep it where it was (13)"},
    {"self/.*|self-denied/.*", 0,
     "needs the guest agent of the recording; played by the tests of self authorisation (6.9)"},
    {"(GetAppEnvEncryptPubKey/app-id-length-.*|GetAppKey/short-app-id/v0)", 200,
     "application ids of any length (6.3, 6.5)"},
    {"SignCert/v2A/.*", 200, "layout A is the form that we follow; B is accepted, too (6.6)"},
    {"N/GetAppKey/version-2-events/stripped", 200,
     "a stripped event of version 2 is computed (attestation 3.14)"},
    {"E/.*", 200, "recorded with the older version, which does not know V1 (13)"},
};
const Newest* newest_difference(const std::string& name) {
    for (const Newest& row : kNewestDiffers)
        if (matches(name, row.name)) return &row;
    return nullptr;
}
/// Where their certificate holds more than ours (3.3, 6.6): what both hold is compared below.
constexpr const char* kOtherCertificate = "SignCert/v2B/.*|SignCert/v1/quote|.*upstream-.*";
/// Where they speak of the webhook's URL and of parsers in words of their own (10.1).
constexpr const char* kNewestOwnWords =
    "webhook/.*|bad-.*|attestation/(v0-empty|v0-trailing|unknown-format|log-.*)|"
    "GetAppKey/(config-bad|debug-attr)/v0|N/GetAppKey/.*v1_array_form|SignCert/.*";

/// The newest version tells causes behind colons.
std::string flattened(std::string text) {
    for (const char* mark : {"\\n\\nCaused by:\\n    ", "\n\nCaused by:\n    "})
        if (const std::size_t at = text.find(mark); at != std::string::npos)
            text.replace(at, std::strlen(mark), ": ");
    text = std::regex_replace(text, std::regex(R"(: 0: )"), ": ");
    return std::regex_replace(text, std::regex(R"((\\n|\n)    \d+: )"), ": ");
}

/// The webhook is told the same of a machine by every version, but for one member's name (10.1).
std::vector<std::pair<std::string, json::value>> comparable_questions(
    const std::vector<std::pair<std::string, std::string>>& questions) {
    std::vector<std::pair<std::string, json::value>> out;
    for (const auto& [path, body] : questions) {
        json::object question = json::parse(body).as_object();
        for (const char* later : {"attestationMode", "teeVariant"}) question.erase(later);
        out.emplace_back(path, question);
    }
    return out;
}

TEST_CASE("attested callers of the newest original get the same keys, answers and questions") {
    const auto recorded = recording("attested_N.json");
    const auto recorded_v1 = recording("attested_N_v1.json");
    if (!recorded || !recorded_v1) return;
    std::size_t played = 0;
    for (const auto* file : {&*recorded, &*recorded_v1}) {
        for (const auto& one : file->cases.at("cases").as_array()) {
            const std::string name = text_at(one, "name");
            const Newest* difference = newest_difference(name);
            if (difference != nullptr && difference->ours == 0) continue;
            if (matches(name, kElsewhere)) continue;
            INFO(name);
            const Played outcome = play(one, file->certificates, name.starts_with("GetKmsKey"));
            ++played;
            if (difference != nullptr) {
                INFO("differs on purpose: " << difference->why);
                CHECK(outcome.reply.status == difference->ours);
                continue;
            }
            const auto status = one.at("response").at("status").as_int64();
            CHECK(outcome.reply.status == static_cast<unsigned>(status));
            const std::string expected = body_text(one.at("response").at("body"));
            const bool is_json = outcome.reply.content_type == "application/json";
            if (status != 200) {
                const std::string ours = flattened(outcome.reply.body);
                // The binary form begins with the length of the text.
                const std::size_t head = is_json ? 0 : 2;
                if (!matches(name, kNewestOwnWords))
                    CHECK(ours.substr(head) == expected.substr(head));
            } else if (is_json && !matches(name, kOtherCertificate)) {
                CHECK(with_comparable_certificates(without_later_fields(outcome.reply.body)) ==
                      with_comparable_certificates(without_later_fields(expected)));
            }
            std::vector<std::pair<std::string, std::string>> questions;
            const json::value* asked = one.as_object().if_contains("webhook_requests");
            if (asked == nullptr) continue;
            for (const auto& request : asked->as_array())
                if (text_at(request, "method") == "POST")
                    questions.emplace_back(text_at(request, "path"), text_at(request, "body"));
            CHECK(comparable_questions(outcome.questions) == comparable_questions(questions));
        }
    }
    CHECK(played > 60);
}

TEST_CASE("what a version 2 request asks for beyond the first version is in the certificate") {
    const auto recorded = recording("attested_N.json");
    const auto recorded_v1 = recording("attested_N_v1.json");
    if (!recorded || !recorded_v1) return;
    std::size_t played = 0;
    for (const auto* file : {&*recorded, &*recorded_v1}) {
        for (const auto& one : file->cases.at("cases").as_array()) {
            const std::string name = text_at(one, "name");
            if (!matches(name, "SignCert/v2B/.*|.*upstream-.*")) continue;
            INFO(name);
            const Played outcome = play(one, file->certificates);
            REQUIRE(outcome.reply.status == 200);
            const auto leaf = [](const std::string& body) {
                const json::value answer = json::parse(body);
                const auto der =
                    der_of_pem(std::string(answer.at("certificate_chain").at(0).as_string()));
                auto parsed = kms::crypto::LeafCertificate::parse(runtime::as_bytes(der));
                REQUIRE(parsed.has_value());
                return std::move(*parsed);
            };
            const auto ours = leaf(outcome.reply.body);
            const auto theirs = leaf(body_text(one.at("response").at("body")));
            using kms::crypto::CustomExtension;
            CHECK(*ours.payload(CustomExtension::app_id) ==
                  *theirs.payload(CustomExtension::app_id));
            CHECK(*ours.payload(CustomExtension::special_usage) ==
                  *theirs.payload(CustomExtension::special_usage));
            // Theirs has a ninth, empty member behind the eight that all versions know (6.6).
            const auto info = *ours.payload(CustomExtension::app_info);
            const auto their_info = *theirs.payload(CustomExtension::app_info);
            REQUIRE(info.has_value() == their_info.has_value());
            if (info)
                CHECK(runtime::to_hex(*info).substr(2) + "90" ==
                      runtime::to_hex(*their_info).substr(2));
            CHECK(ours.carries_attestation() == theirs.carries_attestation());
            ++played;
        }
    }
    CHECK(played == 11);
}

TEST_CASE("the requests of the original's clients are answered") {
    const auto text = test_support::shared_kms_text("peer/clients.json");
    if (!text) return;
    std::size_t played = 0;
    const json::value recorded = json::parse(*text);
    for (const auto& client : recorded.at("cases").as_array()) {
        for (const auto& one : client.at("requests").as_array()) {
            INFO(text_at(client, "name") << ": " << text_at(one, "request_head"));
            ServiceFixture f({.accepts_quotes = true});
            json::object request;
            request["head"] = one.at("request_head");
            request["body"] = json::object{{"text", one.at("request_body")}};
            auto asked = request_of(request);
            if (const auto& certificate = one.at("client_cert_der_hex"); certificate.is_string())
                asked.client_certificate = std::string(
                    runtime::as_text(test_support::hex(std::string(certificate.as_string()))));
            CHECK(f.send(std::move(asked)).status ==
                  static_cast<unsigned>(one.at("response_status").as_int64()));
            ++played;
        }
    }
    CHECK(played > 6);
}

TEST_CASE("a KMS that asks the original for its keys gets them as recorded") {
    const auto recorded = recording("misc_E.json");
    if (!recorded) return;
    std::size_t played = 0;
    for (const auto& one : recorded->cases.at("cases").as_array()) {
        const std::string name = text_at(one, "name");
        if (!matches(name, "GetKmsKey/quotes-on/(attested|no-cert)")) continue;
        INFO(name);
        const Played outcome = play(one, recorded->certificates, true);
        check_answer(one, outcome);
        check_questions(one, outcome);
        ++played;
    }
    CHECK(played == 2);
}
