// testdata/attestation/peer/kms-requests: complete attested requests for keys, to both versions of
// the original, each with its own PKI; played to KmsService with the program's own verifier.
#include "kms/crypto/pem.hpp"
#include "tests/support/recorded_collateral.hpp"
#include "tests/unit/kms/service_fixture.hpp"

#include <regex>

#include <boost/json/serialize.hpp>

namespace json = boost::json;
using test_support::text_of;
using test_support::text_or;
using test_support::VectorFolder;

namespace {

/// Where we do not do as the older version does, and the section that says so.
struct Difference {
    const char* name;
    bool as_newest;  ///< otherwise: keys are released although both refuse
    const char* why;
};
constexpr Difference kDifferences[] = {
    {"v1|v1-full-log|v1-pod|v1-events-v2-no-log|v1-events-v2-preimage", true,
     "V1 is read in every mode (kms-protocol 13)"},
    {"v1-events-v2-stripped", false, "what stripping took away is computed (attestation 3.14)"},
    {"v1-events-v2-stripped-preimage", false,
     "what stripping took away is computed (attestation 3.14)"},
};
/// The outermost sentence is the same, the parser's own words are not.
constexpr const char* kParserWords =
    "truncated|attestation-garbage-legacy-good|quote-signature|"
    "config-not-json|vm-argument-bad|v1-pod";

const Difference* difference_of(const std::string& name) {
    for (const Difference& row : kDifferences)
        if (std::regex_match(name, std::regex(row.name))) return &row;
    return nullptr;
}

kms::keys::KeyFiles key_files(const VectorFolder& folder) {
    using kms::keys::KeyFile;
    kms::keys::KeyFiles files;
    for (const KeyFile file : kms::keys::kKeyFiles) {
        const std::string name(file_name(file));
        if (name == "bootstrap-info.json") continue;
        files[file] = runtime::SecretBytes::copy_of(folder.bytes("kms-certs/" + name));
    }
    return files;
}

std::string outermost(const std::string& error) {
    return error.substr(0, std::min(error.find("\n\nCaused"), error.find(": ")));
}

}  // namespace

TEST_CASE("attested requests for keys: status, answer and question as recorded") {
    const auto folder = VectorFolder::shared("peer/kms-requests");
    if (!folder) return;
    const json::value recorded = folder->json("expected.json");
    std::size_t released = 0, refused = 0;
    for (const std::string generation : {"E", "N"}) {
        const std::string pki = "pki-" + generation + "/";
        const auto anchor = kms::TrustAnchor::create(folder->bytes(pki + "root.der"));
        REQUIRE(anchor.has_value());
        for (const auto& [key, row] : recorded.as_object()) {
            const std::string name(key);
            INFO(generation << " " << name);
            const Difference* difference = difference_of(name);
            const std::string request = name.substr(0, name.find('@'));
            const bool late = name.ends_with("@outofdate");
            const auto collateral = kms::parse_collateral(
                folder->text(pki + (late ? "collateral-outofdate.json" : "collateral.json")));
            REQUIRE(collateral.has_value());
            ServiceFixture f({.dev = false,
                              .authority = kms::AuthorityKind::webhook,
                              .verifier =
                                  [&](auto executor, auto& clock, auto& workers) {
                                      return test_support::verifier_with(executor, clock, workers,
                                                                         *collateral, *anchor);
                                  },
                              .key_files = [&] { return key_files(*folder); }});
            f.http.handle([](const auto&) {
                return test::FakeHttpClient::Reply::ok(
                    R"({"isAllowed":true,"gatewayAppId":"any","reason":""})");
            });
            const auto certificate = kms::crypto::first_pem_block(
                folder->text("requests/" + request + "/client-" + generation + ".crt"));
            REQUIRE(certificate.has_value());
            runtime::HttpServerRequest asked;
            asked.method = "POST";
            asked.target = "/prpc/KMS.GetAppKey?json";
            asked.path = "/prpc/KMS.GetAppKey";
            asked.query = "json";
            asked.body = folder->text("requests/" + request + "/body.json");
            asked.client_certificate = std::string(certificate->text());
            const auto reply = f.send(std::move(asked));
            const json::object answer = json::parse(reply.body).as_object();

            if (difference != nullptr && !difference->as_newest) {
                INFO(difference->why);
                CHECK(reply.status == 200);
                continue;
            }
            const bool as_newest = difference != nullptr;
            const json::value& expected = row.at(as_newest ? "N" : "E");
            CHECK(reply.status == expected.at("status").to_number<unsigned>());
            const json::object& wanted = expected.at("answer").as_object();
            if (reply.status == 200) {
                ++released;
                for (const auto& [member, value] : wanted) {
                    INFO(std::string_view(member));
                    CHECK(json::serialize(answer.at(member)) == json::serialize(value));
                }
            } else {
                ++refused;
                const std::string ours = text_of(json::value(answer), "error");
                const std::string theirs = text_of(json::value(wanted), "error");
                if (as_newest || std::regex_match(name, std::regex(kParserWords)))
                    CHECK(outermost(ours) == outermost(theirs));
                else
                    CHECK(ours == theirs);
            }
            const json::array& questions = expected.at("auth").as_array();
            REQUIRE(f.http.asked().size() == questions.size());
            for (std::size_t i = 0; i < questions.size(); ++i) {
                json::object ours = json::parse(f.http.asked()[i].request.body).as_object();
                json::object theirs = questions[i].at("body").as_object();
                // The newest version calls this member otherwise (kms-protocol 10.1).
                if (as_newest) {
                    ours.erase("attestationMode");
                    theirs.erase("teeVariant");
                }
                CHECK(json::value(ours) == json::value(theirs));
            }
        }
    }
    CHECK(released >= 35);
    CHECK(refused >= 20);
}
