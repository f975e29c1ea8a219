// Every quote vector: verdict, stage and state, cold and warm. The words of refusals are compared
// with the recorded ones.
#include "kms/verify/verify.hpp"
#include "tests/unit/kms/verify/quote_cases.hpp"

#include <algorithm>
#include <map>

using namespace test_support;

namespace {

std::vector<std::string> texts(const boost::json::value& array) {
    std::vector<std::string> out;
    for (const auto& item : array.as_array()) out.emplace_back(item.as_string());
    return out;
}

void check_expected(const kms::Verdict<kms::QuoteReport>& verdict, const QuoteCase& one) {
    INFO(summary(verdict));
    if (text_of(one.expect, "result") != "ok") {
        REQUIRE(!verdict.has_value());
        CHECK(to_string(verdict.error().stage) == text_of(one.expect, "stage"));
        return;
    }
    REQUIRE(verdict.has_value());
    CHECK(to_string(verdict->tcb.status) == text_of(one.expect, "status"));
    CHECK(verdict->tcb.advisory_ids == texts(one.expect.at("advisory_ids")));
    CHECK(to_string(verdict->platform.status) == text_of(one.expect, "platform_status"));
    CHECK(verdict->platform.advisory_ids == texts(one.expect.at("platform_advisory_ids")));
    CHECK(to_string(verdict->qe.status) == text_of(one.expect, "qe_status"));
    CHECK(verdict->qe.advisory_ids == texts(one.expect.at("qe_advisory_ids")));
    CHECK(runtime::to_hex(verdict->ppid) == text_of(one.expect, "ppid"));
    CHECK(runtime::to_hex(verdict->fmspc) == text_of(one.expect, "fmspc"));
    const auto quote = kms::parse_quote(one.quote);
    REQUIRE(quote.has_value());
    CHECK(kms::check_dstack_policy(*quote).has_value() ==
          (text_of(one.expect, "dstack_policy") == "ok"));
}

/// One cache for all cases: what one case leaves behind must not change another's verdict.
void check_cold_and_warm(const std::vector<QuoteCase>& cases) {
    kms::PlatformCache cache(8);
    for (const QuoteCase& one : cases) {
        INFO(one.name << ": " << one.why);
        const kms::TrustAnchor anchor = one.anchor();
        const auto cold =
            kms::verify_quote(one.quote, one.collateral, anchor, one.now, one.options);
        check_expected(cold, one);
        const auto held = kms::VerifiedCollateral::create(one.collateral, anchor, one.now);
        if (!held) {
            CHECK(!cold.has_value());
            continue;
        }
        for (int run = 0; run < 3; ++run) {
            const auto warm = kms::verify_quote(one.quote, *held, one.now, &cache, one.options);
            CHECK(summary(warm) == summary(cold));
            check_expected(warm, one);
        }
    }
}

}  // namespace

TEST_CASE("synthetic quotes: verdict, stage and state, cold and warm") {
    const auto cases = mock_quote_cases();
    CHECK(cases.size() == 125);
    check_cold_and_warm(cases);
}

TEST_CASE("real quotes at every time: verdict, stage and state, cold and warm") {
    check_cold_and_warm(real_quote_cases());
}

TEST_CASE(
    "collateral that was verified at one time refuses at every other time as if it were new") {
    std::map<std::string, std::vector<QuoteCase>> by_vector;
    for (QuoteCase& one : real_quote_cases())
        by_vector[one.name.substr(0, one.name.find('@'))].push_back(std::move(one));
    for (const auto& [name, runs] : by_vector) {
        kms::PlatformCache cache(4);
        const auto held =
            kms::VerifiedCollateral::create(runs[0].collateral, runs[0].anchor(), runs[0].now);
        REQUIRE(held.has_value());
        for (const QuoteCase& run : runs) {
            INFO(run.name);
            CHECK(summary(kms::verify_quote(run.quote, *held, run.now, &cache)) ==
                  summary(kms::verify_quote(run.quote, run.collateral, run.anchor(), run.now)));
        }
    }
}

TEST_CASE("the collateral's span is the intersection of all its parts") {
    for (const QuoteCase& one : real_quote_cases()) {
        const auto held = kms::VerifiedCollateral::create(one.collateral, one.anchor(), one.now);
        if (!held) continue;
        INFO(one.name);
        CHECK(held->valid_from() <= one.now);
        CHECK(one.now < held->valid_until());
        CHECK(kms::VerifiedCollateral::create(one.collateral, one.anchor(), held->valid_until() - 1)
                  .has_value());
        CHECK(!kms::VerifiedCollateral::create(one.collateral, one.anchor(), held->valid_until())
                   .has_value());
        CHECK(kms::VerifiedCollateral::create(one.collateral, one.anchor(), held->valid_from())
                  .has_value());
        CHECK(!kms::VerifiedCollateral::create(one.collateral, one.anchor(), held->valid_from() - 1)
                   .has_value());
    }
}

TEST_CASE("refusals say what the field's verifier says") {
    const auto folder = VectorFolder::shared("peer");
    if (!folder) return;
    std::map<std::string, std::string> recorded;
    const boost::json::value rows = folder->json("dcap-errors.json");
    for (const auto& row : rows.as_array())
        recorded[text_of(row, "name") + "@" +
                 std::to_string(row.at("now").to_number<std::int64_t>())] = text_of(row, "error");
    // Where the words of a parser come from another program's parser.
    const auto is_parser_text = [](const std::string& text) {
        return text.starts_with("Failed to decode") || text.starts_with("TrailingData") ||
               text.find("RequiredEkuNotFound") != std::string::npos ||
               text.starts_with("Unsupported DCAP PCK cert format") ||
               text.find("subobject") != std::string::npos ||
               text.starts_with("Intel extension path");
    };
    auto cases = mock_quote_cases();
    for (QuoteCase& one : real_quote_cases()) cases.push_back(std::move(one));
    std::size_t compared = 0;
    for (const QuoteCase& one : cases) {
        const std::string key = one.name.find('@') != std::string::npos
                                    ? one.name
                                    : one.name + "@" + std::to_string(one.now);
        const auto found = recorded.find(key);
        if (found == recorded.end() || is_parser_text(found->second)) continue;
        std::string expected = found->second;  // its causes are joined by " / "
        for (std::size_t at = 0; (at = expected.find(" / ", at)) != std::string::npos;)
            expected.replace(at, 3, ": ");
        INFO(one.name);
        const auto verdict =
            kms::verify_quote(one.quote, one.collateral, one.anchor(), one.now, one.options);
        REQUIRE(!verdict.has_value());
        CHECK(verdict.error().reason == expected);
        ++compared;
    }
    CHECK(compared > 80);
}
