/// The verifier of dstack-kms with the collateral of recorded exchanges: everything is really
/// verified; only the network is played.
#pragma once

#include "kms/attest/dcap_verifier.hpp"
#include "kms/attest/held_collateral.hpp"
#include "launcher/runtime/http_server.hpp"
#include "tests/support/attestation_vectors.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

namespace test_support {

/// Answers every request for collateral from the same set, at once.
class CollateralPeer final : public runtime::HttpClient {
  public:
    explicit CollateralPeer(kms::Collateral collateral) : served_(std::move(collateral)) {}

    runtime::Task<runtime::HttpExchange> exchange(runtime::HttpClientRequest request,
                                                  runtime::Deadline) override {
        runtime::HttpExchange answer;
        answer.status = 200;
        const auto asks_for = [&](std::string_view what) {
            return request.url.find(what) != std::string::npos;
        };
        if (asks_for("/pckcrl")) {
            answer.body = runtime::as_text(served_.pck_crl);
            answer.headers = {{"sgx-pck-crl-issuer-chain", encoded(served_.pck_crl_issuer_chain)}};
        } else if (asks_for("/tcb?")) {
            answer.body = statement("tcbInfo", served_.tcb_info, served_.tcb_info_signature);
            answer.headers = {{"tcb-info-issuer-chain", encoded(served_.tcb_info_issuer_chain)}};
        } else if (asks_for("/qe/identity")) {
            answer.body =
                statement("enclaveIdentity", served_.qe_identity, served_.qe_identity_signature);
            answer.headers = {
                {"sgx-enclave-identity-issuer-chain", encoded(served_.qe_identity_issuer_chain)}};
        } else {
            answer.body = runtime::to_hex(served_.root_ca_crl);
        }
        co_return answer;
    }

  private:
    static std::string encoded(const std::string& text) {
        std::string out;
        for (const char c : text) {
            if (c == '%' || c == '\n' || c == ' ')
                out += "%" + runtime::to_hex(runtime::as_bytes(std::string_view(&c, 1)));
            else
                out += c;
        }
        return out;
    }
    static std::string statement(std::string_view member, const std::string& text,
                                 runtime::ByteView signature) {
        return "{\"" + std::string(member) + "\":" + text + ",\"signature\":\"" +
               runtime::to_hex(signature) + "\"}";
    }

    kms::Collateral served_;
};

inline std::unique_ptr<kms::QuoteVerifier> verifier_with(boost::asio::any_io_executor executor,
                                                         runtime::Clock& clock,
                                                         runtime::Workers& workers,
                                                         kms::Collateral collateral,
                                                         const kms::TrustAnchor& anchor) {
    auto held = std::make_unique<kms::HeldCollateral>(
        std::move(executor), clock, workers,
        std::make_unique<CollateralPeer>(std::move(collateral)), anchor,
        kms::HeldCollateralOptions{.server = {"http://pccs.test", ""}});
    return std::make_unique<kms::DcapVerifier>(clock, workers, std::move(held));
}

/// testdata/kms/peer/mock-pki: what the recorded programs were served. Must be there.
struct PeerPki {
    kms::Collateral up_to_date, out_of_date;
    std::optional<kms::TrustAnchor> anchor;

    static PeerPki read() {
        const std::string folder = std::string(TEST_SHARED) + "/testdata/kms/peer/mock-pki/";
        const auto text = [&folder](const std::string& file) {
            const auto content = file_text(folder + file);
            REQUIRE(content.has_value());
            return *content;
        };
        const auto bytes = [](std::string_view content) {
            const auto view = runtime::as_bytes(content);
            return runtime::Bytes(view.begin(), view.end());
        };
        const boost::json::value recorded = boost::json::parse(text("pccs.json"));
        const boost::json::value& answers = recorded.at("responses");
        const auto chain = [&answers](const char* answer, const char* header) {
            return runtime::percent_decode(text_of(answers.at(answer).at("headers"), header));
        };
        PeerPki pki;
        kms::Collateral& served = pki.up_to_date;
        served.pck_crl = bytes(text("pckcrl.body"));
        served.pck_crl_issuer_chain = chain("pckcrl", "SGX-PCK-CRL-Issuer-Chain");
        served.root_ca_crl = *runtime::from_hex(text("rootcacrl.body"));
        served.qe_identity_issuer_chain = chain("qe-identity", "SGX-Enclave-Identity-Issuer-Chain");
        take_statement(text("qe-identity.body"), "enclaveIdentity", served.qe_identity,
                       served.qe_identity_signature);
        pki.out_of_date = served;
        for (auto& [target, answer] :
             {std::pair(&pki.up_to_date, "tcb"), std::pair(&pki.out_of_date, "tcb-outofdate")}) {
            target->tcb_info_issuer_chain = chain(answer, "TCB-Info-Issuer-Chain");
            take_statement(text(std::string(answer) + ".body"), "tcbInfo", target->tcb_info,
                           target->tcb_info_signature);
        }
        auto made = kms::TrustAnchor::create(bytes(text("tdx-root-ca.der")));
        REQUIRE(made.has_value());
        pki.anchor = std::move(*made);
        return pki;
    }

  private:
    /// The statement as it was signed: its text between the member's name and the signature.
    static void take_statement(const std::string& body, const std::string& member,
                               std::string& statement, runtime::Bytes& signature) {
        const std::size_t begin = body.find("\"" + member + "\":") + member.size() + 3;
        const std::size_t end = body.find(",\"signature\":");
        REQUIRE(end != std::string::npos);
        statement = body.substr(begin, end - begin);
        signature =
            *runtime::from_hex(std::string(boost::json::parse(body).at("signature").as_string()));
    }
};

}  // namespace test_support
