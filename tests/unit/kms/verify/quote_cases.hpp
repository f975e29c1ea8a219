/// The quote vectors, as values: real ones at several times, synthetic ones, one list.
#pragma once

#include "kms/verify/verify.hpp"
#include "tests/support/attestation_vectors.hpp"

#include <vector>

namespace test_support {

struct QuoteCase {
    std::string name;
    std::string why;
    runtime::Bytes quote;
    kms::Collateral collateral;
    runtime::Bytes root;
    kms::UnixSeconds now = 0;
    kms::VerifyOptions options;
    boost::json::value expect;

    kms::TrustAnchor anchor() const {
        auto created = kms::TrustAnchor::create(root);
        REQUIRE(created.has_value());
        return *created;
    }
};

/// What a verdict says, in one line: "ok UpToDate", or "stage: reason".
inline std::string summary(const kms::Verdict<kms::QuoteReport>& verdict) {
    if (verdict) return "ok " + std::string(to_string(verdict->tcb.status));
    return std::string(to_string(verdict.error().stage)) + ": " + verdict.error().reason;
}
/// The same without the reason.
inline std::string outcome(const kms::Verdict<kms::QuoteReport>& verdict) {
    return verdict ? summary(verdict) : std::string(to_string(verdict.error().stage));
}

inline kms::Collateral collateral_of(const std::string& json) {
    auto collateral = kms::parse_collateral(json);
    if (!collateral) FAIL(collateral.error().context);
    return *collateral;
}

inline std::vector<QuoteCase> mock_quote_cases() {
    const auto folder = VectorFolder::own("dcap-mock");
    std::vector<QuoteCase> cases;
    const boost::json::value list = folder.json("cases.json");
    for (const auto& row : list.as_array()) {
        QuoteCase one;
        one.name = text_of(row, "name");
        one.why = text_of(row, "why");
        one.quote = folder.bytes(text_of(row, "quote"));
        one.collateral = collateral_of(folder.text(text_of(row, "collateral")));
        one.root = folder.bytes(text_of(row, "root"));
        one.now = row.at("now").to_number<std::int64_t>();
        one.options.allow_debug = row.at("options").at("allow_debug").as_bool();
        one.options.allow_service_td = row.at("options").at("allow_service_td").as_bool();
        one.expect = row.at("expect");
        cases.push_back(std::move(one));
    }
    return cases;
}

/// Empty when the shared test data is not here.
inline std::vector<QuoteCase> real_quote_cases() {
    const auto folder = VectorFolder::shared("dcap");
    std::vector<QuoteCase> cases;
    if (!folder) return cases;
    const boost::json::value list = folder->json("cases.json");
    for (const auto& row : list.as_array()) {
        if (row.as_object().if_contains("runs") == nullptr) continue;
        for (const auto& run : row.at("runs").as_array()) {
            QuoteCase one;
            const std::string dir = text_of(row, "dir");
            one.name = dir + "@" + std::to_string(run.at("now").to_number<std::int64_t>());
            one.why = text_of(row, "why");
            one.quote = folder->bytes(dir + "/quote.bin");
            one.collateral = collateral_of(folder->text(dir + "/collateral.json"));
            one.root = folder->bytes(text_of(row, "root"));
            one.now = run.at("now").to_number<std::int64_t>();
            one.expect = run.at("expect");
            cases.push_back(std::move(one));
        }
    }
    return cases;
}

}  // namespace test_support
