/// A machine that wants to be a KMS: a key directory, a guest agent and a webhook that the test
/// plays, and onboarding. With serve() it becomes a KMS on loopback, over TLS.
#pragma once

#include "kms/onboard/onboarding.hpp"
#include "kms/rpc/service.hpp"
#include "launcher/runtime/http_server.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/mock_evidence.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/support/test_verifier.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

namespace test_support {

class KmsNode {
  public:
    struct Setup {
        bool quotes = true;
        bool verify_source = true;
        bool asks_about_itself = false;
        kms::keys::FileSystem* files = nullptr;  ///< null = the real one
        runtime::HttpClient* http = nullptr;     ///< null = the real one
    };

    KmsNode(boost::asio::io_context& io_context, test::ManualClock& manual_clock, Setup setup)
        : io(io_context),
          clock(manual_clock),
          quotes(setup.quotes),
          directory(setup.files != nullptr ? *setup.files : real_files, folder / "certs"),
          outward(io.get_executor(), clock, {.user_agent = {}}),
          webhook(webhook_http, clock, {.url = "http://auth:8000"}),
          authority(kms::AuthorityKind::webhook, &webhook, ""),
          agent(agent_http, clock, {.address = "unix:/agent.sock"}),
          own(agent, verifier),
          self(own, authority),
          onboarding({.directory = directory,
                      .clock = clock,
                      .workers = workers,
                      .http = setup.http != nullptr ? *setup.http : outward,
                      .agent = agent,
                      .verifier = verifier,
                      .authority = authority,
                      .own = own,
                      .self = setup.asks_about_itself ? &self : nullptr,
                      .webhook = &webhook},
                     options_of(setup)) {
        webhook_http.handle([this](const auto&) {
            return test::FakeHttpClient::Reply::ok(R"({"isAllowed":)" +
                                                   std::string(allowed ? "true" : "false") +
                                                   R"(,"gatewayAppId":"g","reason":"not today"})");
        });
        agent_http.handle([](const auto& request) {
            using Reply = test::FakeHttpClient::Reply;
            if (request.url.ends_with("/Attest?json"))
                return Reply::ok(mock_attest_answer(asked_report_data(request.body)));
            return Reply::ok(R"({"vm_config":"{\"os_image_hash\":\"55\"}"})");
        });
    }

    runtime::Deadline soon() const {
        return runtime::Deadline::after(clock.now(), std::chrono::seconds(120));
    }
    tl::expected<kms::BootstrapInfo, kms::RpcError> bootstrap(const std::string& domain) {
        return test::run(io, onboarding.bootstrap(domain, soon()));
    }
    tl::expected<kms::crypto::K256PublicKey, kms::RpcError> onboard(const std::string& source) {
        return test::run(io, onboarding.onboard(source, "kms2.peer.test", soon()));
    }
    kms::keys::KeySet stored() const { return must(directory.load()); }
    kms::keys::DirectoryState state() const { return must(directory.inspect()).state; }

    /// The address of the KMS that this machine is now.
    std::string serve() {
        keys.emplace(stored());
        meta.emplace(kms::MetaConstants{keys->certificates.root_ca, "", "any"},
                     kms::BootstrapInfoFile(directory));
        service.emplace(kms::KmsParts{.keys = *keys,
                                      .admin_token_hash = {},
                                      .quotes_enabled = quotes,
                                      .meta = *meta,
                                      .release = {.verifier = verifier, .authority = authority},
                                      .image_cache_dir = {}},
                        clock, workers, kms::ServiceOptions{});
        runtime::HttpServerOptions options;
        options.handler = [this](const runtime::HttpServerRequest& request,
                                 runtime::Deadline deadline) {
            return service->handle(request, deadline);
        };
        const runtime::SecretBytes key = keys->rpc_key.pkcs8_pem();
        runtime::TlsServerOptions tls;
        tls.certificate_pem = keys->certificates.rpc;
        tls.client_ca_pem = keys->certificates.temp_ca;
        tls.key_pem = key.text();
        options.tls = std::make_shared<const runtime::TlsServerContext>(
            must(runtime::TlsServerContext::create(tls)));
        server.emplace(io.get_executor(), clock, std::move(options));
        const auto listening = server->listen("127.0.0.1:0");
        if (!listening) FAIL(listening.error().context);
        server->start();
        return "https://127.0.0.1:" + std::to_string(server->port());
    }
    ~KmsNode() {
        if (server) test::run(io, server->stop(runtime::Deadline(clock.now())));
    }
    KmsNode(const KmsNode&) = delete;
    KmsNode& operator=(const KmsNode&) = delete;

    static kms::OnboardingOptions options_of(const Setup& setup) {
        kms::OnboardingOptions options;
        options.quotes_enabled = setup.quotes;
        options.verify_source = setup.verify_source;
        return options;
    }

    boost::asio::io_context& io;
    test::ManualClock& clock;
    bool quotes;
    bool allowed = true;  ///< what the webhook says
    TemporaryDirectory folder;
    kms::keys::PosixFileSystem real_files;
    kms::keys::KeyDirectory directory;
    runtime::Workers workers{1, 8};
    test::FakeHttpClient webhook_http{clock};
    test::FakeHttpClient agent_http{clock};
    runtime::CurlHttpClient outward;
    AcceptingQuoteVerifier verifier;
    kms::WebhookClient webhook;
    kms::KeyAuthority authority;
    kms::GuestAgent agent;
    kms::OwnEvidence own;
    kms::SelfAuthorization self;
    kms::Onboarding onboarding;
    std::optional<kms::keys::KeySet> keys;
    std::optional<kms::MetaAnswer> meta;
    std::optional<kms::KmsService> service;
    std::optional<runtime::HttpServer> server;
};

}  // namespace test_support
