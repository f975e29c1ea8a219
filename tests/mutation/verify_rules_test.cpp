// Each rule of verification has evidence that only it refuses: with all rules, the evidence is
// refused at the rule's stage; with the rule switched off, it is accepted; and no other row
// notices. Linked with a library whose rules can be switched off.
#include "kms/evidence/report_data.hpp"
#include "kms/verify/attestation.hpp"
#include "kms/verify/rules.hpp"
#include "tests/support/mock_platform.hpp"

#include <map>
#include <set>

#include <catch2/catch.hpp>

using namespace test_support;
using kms::Rule;

namespace {

struct Row {
    Rule rule;
    kms::Stage stage;
    std::function<void(MockSpec&)> bend;
    UnixSeconds now = kMockNow;
};

constexpr auto kRootCrl = kms::Stage::root_crl;
constexpr auto kChain = kms::Stage::pck_chain;
constexpr auto kPlatform = kms::Stage::platform_tcb;
constexpr auto kModule = kms::Stage::tdx_module;
constexpr auto kQe = kms::Stage::qe_policy;
constexpr auto kAttributes = kms::Stage::attributes;
constexpr auto kHeader = kms::Stage::header;

const Bytes kClientAuth = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};

/// A version 5 quote with a TD 1.5 report.
void make_td15(MockSpec& s) {
    s.version = 5;
    s.body_type = 3;
    s.body.resize(648);
}
/// One module identity, for module version 3.
std::string identity(const std::string& id, unsigned isv_svn) {
    return "[{\"id\":\"" + id + "\",\"mrsigner\":\"" + std::string(96, '0') +
           "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\","
           "\"tcbLevels\":[{\"tcb\":{"
           "\"isvsvn\":" +
           std::to_string(isv_svn) +
           "},\"tcbDate\":\"2024-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]}]";
}

const std::vector<Row>& rows() {
    static const std::vector<Row> kRows = {
        {Rule::crl_issuer_known, kRootCrl,
         // Nothing under this root is covered by its list, so only the root's own check asks for
         // it.
         [](MockSpec& s) { s.root_list.issuer = "Somebody"; }},
        {Rule::root_crl_signature, kRootCrl,
         [](MockSpec& s) { s.root_list_signer = &s.stranger_key; }},
        {Rule::root_crl_fresh, kRootCrl, [](MockSpec& s) { s.root_list.next_update = kMockNow; }},
        {Rule::root_not_revoked, kRootCrl,
         [](MockSpec& s) { s.root_list.revoked = {s.root.serial}; }},
        {Rule::vendor_id, kHeader, [](MockSpec& s) { s.vendor[3] ^= 1U; }},
        {Rule::tee_type, kHeader,
         [](MockSpec& s) {
             make_sgx(s);
             s.version = 5;
             s.body_type = 1;
             s.tee_type = 0x82;
         }},
        {Rule::sgx_version, kHeader,
         [](MockSpec& s) {
             make_sgx(s);
             s.version = 4;
         }},
        {Rule::attestation_key_type, kHeader, [](MockSpec& s) { s.key_type = 3; }},
        {Rule::certificate_not_before, kChain,
         [](MockSpec& s) { s.pck.not_before = kMockNow + 1; }},
        {Rule::certificate_not_after, kChain,
         [](MockSpec& s) { s.pck_ca.not_after = kMockNow - 1; }},
        {Rule::end_entity_is_no_ca, kChain, [](MockSpec& s) { s.pck.is_ca = true; }},
        {Rule::issuer_is_ca, kChain,
         [](MockSpec& s) {
             s.pck_ca.is_ca = false;
             s.pck_ca.path_length.reset();
         }},
        {Rule::extended_key_usage, kChain,
         [](MockSpec& s) { s.pck.extended_key_usage = kClientAuth; }},
        {Rule::certificate_signature, kChain, [](MockSpec& s) { s.pck_signer = &s.stranger_key; }},
        {Rule::revocation_known, kChain, [](MockSpec& s) { s.pck_list.issuer = "Somebody"; }},
        {Rule::crl_signature, kChain, [](MockSpec& s) { s.pck_list_signer = &s.stranger_key; }},
        {Rule::crl_fresh, kChain, [](MockSpec& s) { s.pck_list.next_update = kMockNow; }},
        {Rule::crl_sign_usage, kChain,
         [](MockSpec& s) { s.pck_ca.key_usage = std::uint8_t{0x04}; }},
        {Rule::certificate_not_revoked, kChain,
         [](MockSpec& s) { s.pck_list.revoked = {9, s.pck.serial}; }},
        {Rule::tcb_info_issued, kms::Stage::tcb_info,
         [](MockSpec& s) { s.tcb_info_issued = "2026-01-01T00:00:01Z"; }},
        {Rule::tcb_info_fresh, kms::Stage::tcb_info,
         [](MockSpec& s) { s.tcb_info_next = "2025-12-31T23:59:59Z"; }},
        {Rule::tcb_info_signature, kms::Stage::tcb_info_signature,
         [](MockSpec& s) { s.tcb_info_signer = &s.stranger_key; }},
        {Rule::qe_identity_issued, kms::Stage::qe_identity,
         [](MockSpec& s) { s.qe_issued = "2026-01-01T00:00:01Z"; }},
        {Rule::qe_identity_fresh, kms::Stage::qe_identity,
         [](MockSpec& s) { s.qe_next = "2025-12-31T23:59:59Z"; }},
        {Rule::qe_identity_signature, kms::Stage::qe_identity_signature,
         [](MockSpec& s) { s.qe_identity_signer = &s.stranger_key; }},
        {Rule::qe_identity_kind, kms::Stage::qe_identity_kind,
         [](MockSpec& s) { s.qe_id = "QVE"; }},
        {Rule::pck_format, kChain, [](MockSpec& s) { s.certification_type = 4; }},
        {Rule::qe_report_signature, kms::Stage::qe_report,
         [](MockSpec& s) { s.qe_report_signer = &s.stranger_key; }},
        {Rule::qe_authentication_length, kms::Stage::qe_report,
         [](MockSpec& s) { s.qe_authentication.resize(31); }},
        {Rule::qe_report_hash, kms::Stage::qe_report,
         [](MockSpec& s) { s.bind_attestation_key = false; }},
        {Rule::qe_mr_signer, kQe, [](MockSpec& s) { s.qe_report[kEnclaveMrSigner] ^= 1U; }},
        {Rule::qe_prod_id, kQe, [](MockSpec& s) { s.qe_report[kEnclaveProdId] = 3; }},
        {Rule::qe_misc_select, kQe, [](MockSpec& s) { s.qe_report[kEnclaveMiscSelect] = 1; }},
        {Rule::qe_attributes, kQe, [](MockSpec& s) { s.qe_report[kEnclaveAttributes] = 0x19; }},
        {Rule::qe_isv_svn, kQe, [](MockSpec& s) { s.qe_report[kEnclaveIsvSvn] = 0; }},
        {Rule::quote_signature, kms::Stage::isv_signature,
         [](MockSpec& s) { s.quote_signer = &s.stranger_key; }},
        {Rule::fmspc, kPlatform, [](MockSpec& s) { s.tcb_info_fmspc = "00906ed50001"; }},
        {Rule::tcb_info_kind, kPlatform, [](MockSpec& s) { s.tcb_info_version = 2; }},
        {Rule::pce_svn, kPlatform, [](MockSpec& s) { s.level_pce_svn = 6; }},
        {Rule::sgx_component_count, kPlatform, [](MockSpec& s) { s.sgx_components.resize(15); }},
        {Rule::sgx_components, kPlatform, [](MockSpec& s) { s.sgx_components[7] = 6; }},
        {Rule::td_report_body, kPlatform,
         [](MockSpec& s) {
             s.version = 5;
             s.body_type = 1;
             s.body.assign(384, 0);
         }},
        {Rule::tdx_component_count, kPlatform, [](MockSpec& s) { s.tdx_components.resize(15); }},
        {Rule::tdx_components, kPlatform, [](MockSpec& s) { s.tdx_components[15] = 4; }},
        {Rule::module_present, kModule, [](MockSpec& s) { s.module.reset(); }},
        {Rule::module_identity, kModule,
         [](MockSpec& s) {
             s.body[kTdTcbSvn + 1] = 3;
             s.module_identities = identity("TDX_01", 1);
         }},
        {Rule::module_mr_signer, kModule,
         [](MockSpec& s) {
             s.module =
                 "{\"mrsigner\":\"01" + std::string(94, '0') +
                 "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"}";
         }},
        {Rule::module_attributes_masked, kModule,
         [](MockSpec& s) { s.body[kTdSeamAttributes] = 1; }},
        {Rule::module_attributes_outside, kModule,
         [](MockSpec& s) { s.body[kTdSeamAttributes + 7] = 0x80; }},
        {Rule::module_isv_svn, kModule,
         [](MockSpec& s) {
             s.body[kTdTcbSvn + 1] = 3;
             s.module_identities = identity("TDX_03", 4);
         }},
        {Rule::revoked_status, kms::Stage::merge, [](MockSpec& s) { s.level_status = "Revoked"; }},
        {Rule::td_tud_bits, kAttributes, [](MockSpec& s) { s.body[kTdAttributes] = 0x02; }},
        {Rule::td_reserved_low, kAttributes,
         [](MockSpec& s) { s.body[kTdAttributes + 3] |= 0x08U; }},
        {Rule::td_reserved_29, kAttributes,
         [](MockSpec& s) { s.body[kTdAttributes + 3] |= 0x20U; }},
        {Rule::td_other_bits, kAttributes, [](MockSpec& s) { s.body[kTdAttributes + 7] = 0x80; }},
        {Rule::sept_ve_disable, kAttributes, [](MockSpec& s) { s.body[kTdAttributes + 3] = 0; }},
        {Rule::policy_mr_signer_seam, kms::Stage::dstack_policy,
         [](MockSpec& s) {
             s.body[kTdMrSignerSeam] = 1;
             s.module =
                 "{\"mrsigner\":\"01" + std::string(94, '0') +
                 "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"}";
         }},
    };
    return kRows;
}

/// Rules of which two ask for the same: both must be switched off before the evidence passes, and
/// each alone refuses it.
struct Pair {
    Rule first;
    kms::Stage first_stage;
    Rule second;
    kms::Stage second_stage;
    std::function<void(MockSpec&)> bend;
};
const std::vector<Pair>& pairs() {
    static const std::vector<Pair> kPairs = {
        {Rule::enclave_debug, kAttributes, Rule::policy_enclave_debug, kms::Stage::dstack_policy,
         [](MockSpec& s) {
             make_sgx(s);
             s.body[kEnclaveAttributes] = 2;
         }},
        {Rule::td_debug, kAttributes, Rule::policy_td_debug, kms::Stage::dstack_policy,
         [](MockSpec& s) { s.body[kTdAttributes] = 1; }},
        {Rule::service_td, kAttributes, Rule::policy_service_td, kms::Stage::dstack_policy,
         [](MockSpec& s) {
             make_td15(s);
             s.body[kTdMrServiceTd + 47] = 1;
         }},
        {Rule::qe_debug, kQe, Rule::qe_attributes, kQe,
         [](MockSpec& s) { s.qe_report[kEnclaveAttributes] = 0x13; }},
        // There are two lists only, so the certificates of a third issuer are of unknown state,
        // too.
        {Rule::path_length, kChain, Rule::revocation_known, kChain,
         [](MockSpec& s) {
             s.upper = s.pck_ca;
             s.upper->subject = s.pck_ca.issuer = "Mock Upper CA";
             s.upper->serial = 7;
         }},
        // Without its list the root's chains are of unknown state, too.
        {Rule::crl_issuer_known, kRootCrl, Rule::revocation_known, kms::Stage::tcb_info_chain,
         [](MockSpec& s) { s.root_list.issuer = "Somebody"; }},
        {Rule::root_crl_signature, kRootCrl, Rule::crl_signature, kms::Stage::tcb_info_chain,
         [](MockSpec& s) { s.root_list_signer = &s.stranger_key; }},
        {Rule::root_crl_fresh, kRootCrl, Rule::crl_fresh, kms::Stage::tcb_info_chain,
         [](MockSpec& s) { s.root_list.next_update = kMockNow; }},
    };
    return kPairs;
}

std::string verdict_of(const MockEvidence& evidence, UnixSeconds now) {
    const auto verdict =
        kms::verify_quote(evidence.quote, evidence.collateral, evidence.anchor(), now);
    if (!verdict) return std::string(to_string(verdict.error().stage));
    const auto quote = kms::parse_quote(evidence.quote);
    const auto policy = kms::check_dstack_policy(*quote);
    return policy ? "ok" : std::string(to_string(policy.error().stage));
}

class SwitchedOff {
  public:
    explicit SwitchedOff(std::set<Rule> rules) { kms::rules_switched_off = std::move(rules); }
    ~SwitchedOff() { kms::rules_switched_off.clear(); }
    SwitchedOff(const SwitchedOff&) = delete;
    SwitchedOff& operator=(const SwitchedOff&) = delete;
};

std::string_view name_of(Rule rule) {
    return kms::kRuleNames[static_cast<std::size_t>(rule)];
}

/// Rules that come twice, as the table of pairs tells.
bool is_paired(Rule rule) {
    return std::ranges::any_of(pairs(),
                               [&](const Pair& p) { return p.first == rule || p.second == rule; });
}

}  // namespace

TEST_CASE("the mock platform is accepted, cold and warm, as TDX and as SGX") {
    for (const bool sgx : {false, true}) {
        MockSpec spec;
        if (sgx) make_sgx(spec);
        const MockEvidence evidence = make_mock(spec);
        CHECK(verdict_of(evidence, kMockNow) == "ok");
        const auto held =
            kms::VerifiedCollateral::create(evidence.collateral, evidence.anchor(), kMockNow);
        REQUIRE(held.has_value());
        kms::PlatformCache cache(2);
        for (int i = 0; i < 2; ++i)
            CHECK(kms::verify_quote(evidence.quote, *held, kMockNow, &cache).has_value());
    }
}

TEST_CASE("every rule has evidence that only it refuses") {
    std::set<Rule> shown;
    std::vector<MockEvidence> made;
    for (const Row& row : rows()) {
        MockSpec spec;
        row.bend(spec);
        made.push_back(make_mock(spec));
        shown.insert(row.rule);
    }
    for (std::size_t i = 0; i < rows().size(); ++i) {
        INFO(name_of(rows()[i].rule));
        CHECK(verdict_of(made[i], rows()[i].now) == to_string(rows()[i].stage));
    }
    for (std::size_t off = 0; off < rows().size(); ++off) {
        const Rule rule = rows()[off].rule;
        INFO("switched off: " << name_of(rule));
        const SwitchedOff switched({rule});
        for (std::size_t i = 0; i < rows().size(); ++i) {
            INFO(name_of(rows()[i].rule));
            const std::string verdict = verdict_of(made[i], rows()[i].now);
            if (i != off)
                CHECK(verdict == to_string(rows()[i].stage));
            else if (!is_paired(rule))
                CHECK(verdict == "ok");
            else
                CHECK(verdict != to_string(rows()[i].stage));
        }
    }
    for (const Pair& pair : pairs()) shown.insert({pair.first, pair.second});
    for (const Rule rule :
         {Rule::report_data_payload, Rule::key_binding, Rule::rtmr3, Rule::report_data,
          Rule::event_preimage_digest, Rule::event_preimage_text})
        shown.insert(rule);  // the cases below
    for (std::size_t i = 0; i < std::size(kms::kRuleNames); ++i) {
        INFO(kms::kRuleNames[i]);
        CHECK(shown.contains(static_cast<Rule>(i)));
    }
}

TEST_CASE("what two rules ask for is refused by either") {
    for (const Pair& pair : pairs()) {
        INFO(name_of(pair.first) << " and " << name_of(pair.second));
        MockSpec spec;
        pair.bend(spec);
        const MockEvidence evidence = make_mock(spec);
        CHECK(verdict_of(evidence, kMockNow) == to_string(pair.first_stage));
        {
            const SwitchedOff switched({pair.first});
            CHECK(verdict_of(evidence, kMockNow) == to_string(pair.second_stage));
        }
        {
            const SwitchedOff switched({pair.second});
            CHECK(verdict_of(evidence, kMockNow) == to_string(pair.first_stage));
        }
        const SwitchedOff switched({pair.first, pair.second});
        CHECK(verdict_of(evidence, kMockNow) == "ok");
    }
}

TEST_CASE("each rule about an attestation has one that only it refuses") {
    const auto spki = kms::crypto::spki_der(MockSpec().pck_key.public_point());
    const auto base = [&] {
        kms::Attestation attestation;
        attestation.runtime_events = {{"app-id", {1, 2, 3}, kms::EventVersion::v2}};
        const std::string preimage =
            kms::event_preimage("app-id", Bytes{1, 2, 3}, kms::EventVersion::v2);
        const kms::Sha384 digest = kms::sha384({runtime::as_bytes(preimage)});
        kms::TdxEvent event{.imr = 3,
                            .event_type = kms::kRuntimeEventType,
                            .digest = {digest.begin(), digest.end()},
                            .event = "app-id",
                            .event_payload = {1, 2, 3},
                            .version = kms::EventVersion::v2,
                            .preimage = runtime::to_hex(runtime::as_bytes(preimage))};
        MockSpec spec;
        const kms::Sha384 rtmr3 =
            kms::replay_runtime_events(attestation.runtime_events, kms::ReplayUntil::end);
        std::ranges::copy(rtmr3, spec.body.begin() + kTdRtmr3);
        const auto bound = kms::ratls_report_data(spki);
        std::ranges::copy(bound, spec.body.begin() + kTdReportData);
        attestation.report_data.assign(bound.begin(), bound.end());
        attestation.platform = kms::TdxEvidence{make_mock(spec).quote, {event}};
        return attestation;
    }();
    const auto verdict = [&](const kms::Attestation& attestation) -> std::string {
        if (auto binding = kms::check_key_binding(attestation, spki); !binding)
            return std::string(to_string(binding.error().stage));
        const auto content = kms::check_quote_content(attestation);
        return content ? "ok" : std::string(to_string(content.error().stage));
    };
    const auto log_of = [](kms::Attestation& a) -> kms::TdxEvent& {
        return std::get<kms::TdxEvidence>(a.platform).event_log[0];
    };
    struct Case {
        Rule rule;
        const char* stage;
        std::function<void(kms::Attestation&)> bend;
    };
    const std::vector<Case> cases = {
        {Rule::report_data_payload, "report_data_payload",
         [](auto& a) { a.report_data_payload = "x"; }},
        {Rule::rtmr3, "rtmr3", [](auto& a) { a.runtime_events[0].payload = {9}; }},
        {Rule::event_preimage_digest, "preimage", [&](auto& a) { log_of(a).digest[0] ^= 1U; }},
        {Rule::event_preimage_text, "preimage", [&](auto& a) { log_of(a).preimage = "7b7d"; }},
    };
    REQUIRE(verdict(base) == "ok");
    for (const Case& one : cases) {
        INFO(name_of(one.rule));
        kms::Attestation bent = base;
        one.bend(bent);
        CHECK(verdict(bent) == one.stage);
        const SwitchedOff switched({one.rule});
        CHECK(verdict(bent) == "ok");
    }
    // Other report data is refused for the key first, then for the quote.
    kms::Attestation bent = base;
    bent.report_data[0] ^= 1U;
    CHECK(verdict(bent) == "key_binding");
    {
        const SwitchedOff switched({Rule::key_binding});
        CHECK(verdict(bent) == "report_data");
    }
    const SwitchedOff switched({Rule::key_binding, Rule::report_data});
    CHECK(verdict(bent) == "ok");
}
