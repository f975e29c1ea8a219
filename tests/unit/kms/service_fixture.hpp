/// A KmsService with the original's test keys, a webhook that the test plays, and verifiers of the
/// test's choice.
#pragma once

#include "kms/rpc/service.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/kms_vectors.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/support/test_verifier.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

struct ServiceFixture {
    struct Setup {
        kms::ServiceOptions options{};
        bool quotes = true;
        bool dev = true;
        std::string admin_token_hash{};
        kms::AuthorityKind authority = kms::AuthorityKind::everybody;
        bool accepts_quotes = false;
        bool checks_images = false;
        bool asks_about_itself = false;
        /// Wins over accepts_quotes.
        std::function<std::unique_ptr<kms::QuoteVerifier>(boost::asio::any_io_executor,
                                                          runtime::Clock&, runtime::Workers&)>
            verifier{};
        std::function<kms::keys::KeyFiles()> key_files = &test_support::original_key_files;
    };

    ServiceFixture() : ServiceFixture(Setup{}) {}
    explicit ServiceFixture(Setup setup)
        : keys(test_support::must(kms::keys::parse(setup.key_files()))),
          real(setup.verifier ? setup.verifier(io.get_executor(), clock, workers) : nullptr),
          directory(files, folder.path().string()),
          webhook(http, clock, {.url = "http://auth:8000"}),
          authority(setup.authority, &webhook, "any"),
          agent(agent_http, clock, {.address = "unix:/agent.sock"}),
          own(agent, accepting),
          self(own, authority),
          meta(constants(setup.dev), kms::BootstrapInfoFile(directory)),
          facts(io.get_executor(), clock, kms::FactsBounds{}, "http://auth",
                [this] { return ask(); }),
          service(parts(setup), clock, workers, options_of(setup)) {}

    static kms::ServiceOptions options_of(const Setup& setup) {
        kms::ServiceOptions options = setup.options;
        options.quotes_enabled = setup.quotes;
        return options;
    }

    kms::KmsParts parts(const Setup& setup) {
        kms::QuoteVerifier& quotes =
            setup.accepts_quotes ? static_cast<kms::QuoteVerifier&>(accepting) : refusing;
        kms::QuoteVerifier& chosen = real != nullptr ? *real : quotes;
        return {.keys = keys,
                .admin_token_hash = setup.admin_token_hash,
                .quotes_enabled = setup.quotes,
                .meta = meta,
                .facts = setup.dev ? nullptr : &facts,
                .release = {.verifier = chosen,
                            .images = setup.checks_images ? &images : nullptr,
                            .authority = authority,
                            .self = setup.asks_about_itself ? &self : nullptr},
                .image_cache_dir = folder.path().string()};
    }
    kms::MetaConstants constants(bool dev) const {
        kms::MetaConstants constants{keys.certificates.root_ca,
                                     std::string(runtime::as_text(keys.root.k256_public_key())),
                                     {}};
        if (dev) constants.dev_gateway_app_id = "any";
        return constants;
    }
    runtime::Task<runtime::Result<kms::ChainFacts>> ask() { co_return webhook_answer; }

    runtime::HttpServerReply send(std::string method, const std::string& target,
                                  std::string body = "",
                                  std::vector<runtime::HttpHeader> headers = {}) {
        runtime::HttpServerRequest request;
        request.method = std::move(method);
        request.target = target;
        const auto question = target.find('?');
        request.path = target.substr(0, question);
        if (question != std::string::npos) request.query = target.substr(question + 1);
        request.headers = std::move(headers);
        request.body = std::move(body);
        return send(std::move(request));
    }
    runtime::HttpServerReply send(runtime::HttpServerRequest request) {
        return test::run(io, service.handle(request, runtime::Deadline::after(
                                                         clock.now(), std::chrono::seconds(60))));
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    runtime::Workers workers{1, 4};
    test_support::TemporaryDirectory folder;
    kms::keys::PosixFileSystem files;
    kms::keys::KeySet keys;
    std::unique_ptr<kms::QuoteVerifier> real;
    kms::keys::KeyDirectory directory;
    test::FakeHttpClient http{clock};        ///< the webhook
    test::FakeHttpClient agent_http{clock};  ///< the guest agent
    kms::RefusingQuoteVerifier refusing;
    test_support::AcceptingQuoteVerifier accepting;
    kms::RefusingImageCheck images;
    kms::WebhookClient webhook;
    kms::KeyAuthority authority;
    kms::GuestAgent agent;
    kms::OwnEvidence own;
    kms::SelfAuthorization self;
    runtime::Result<kms::ChainFacts> webhook_answer =
        runtime::Error{runtime::ErrorCode::unavailable, "refused"};
    kms::MetaAnswer meta;
    kms::FactsSource facts;
    kms::KmsService service;
};
