// What the simulator makes is accepted by the verifier with its root, each fault is refused at its
// stage, and nothing of it is accepted under Intel's root.
#include "kms/simulator/machine.hpp"
#include "kms/simulator/mock_collateral.hpp"
#include "kms/verify/attestation.hpp"
#include "tests/support/attestation_vectors.hpp"

#include <algorithm>

using namespace kms;
using namespace kms::simulator;
using namespace test_support;

namespace {

constexpr UnixSeconds kNow = 1'767'225'600;

Seed seed_of(std::uint8_t byte) {
    Seed seed;
    seed.fill(byte);
    return seed;
}

TrustAnchor anchor_of(const Seed& seed) {
    auto anchor = TrustAnchor::create(make_pki(seed, {}, {}).root);
    REQUIRE(anchor.has_value());
    return *anchor;
}

ReportData report_data_of_key() {
    return ratls_report_data(runtime::as_bytes("the key of this test"));
}

/// As a KMS judges a presented certificate: the binding first, then everything else.
Verdict<VerifiedAttestation> judge(const Machine& machine, const Faults& faults,
                                   const TrustAnchor& anchor, UnixSeconds now = kNow) {
    const Attestation evidence = machine.attest(report_data_of_key(), faults);
    if (auto bound = check_key_binding(evidence, runtime::as_bytes("the key of this test")); !bound)
        return tl::make_unexpected(bound.error());
    const Collateral collateral =
        make_collateral(machine.seed(), machine.platform(faults), faults, kNow);
    auto held = VerifiedCollateral::create(collateral, anchor, now);
    if (!held) return tl::make_unexpected(held.error());
    return verify_attestation(evidence, *held, now, nullptr);
}

std::string outcome(const Verdict<VerifiedAttestation>& verdict) {
    if (verdict) return "accepted " + std::string(to_string(verdict->quote.tcb.status));
    return std::string(to_string(verdict.error().stage)) + ": " + verdict.error().reason;
}

}  // namespace

TEST_CASE("keys follow from seed and label as in the field's generator") {
    const auto folder = VectorFolder::shared("mock-pki");
    if (!folder) return;
    std::size_t compared = 0;
    const boost::json::value list = folder->json("derived-keys.json");
    for (const auto& row : list.as_array()) {
        if (text_of(row, "curve") != "P-256") continue;
        const auto seed = seed_from_hex(text_of(row, "seed"));
        REQUIRE(seed.has_value());
        const auto key = seed_key(*seed, text_of(row, "label"));
        INFO(text_of(row, "label"));
        CHECK(runtime::to_hex(key.scalar()) == text_of(row, "private"));
        ++compared;
    }
    CHECK(compared >= 5);
}

TEST_CASE("root, revocation lists and statements equal those of the field's generator") {
    const auto folder = VectorFolder::shared("peer/mock-generator");
    if (!folder) return;
    const Seed seed = seed_of(0x5a);
    constexpr UnixSeconds kIssued = 1'795'314'201;  // 2026-11-22T02:23:21Z
    constexpr UnixSeconds kDay = 86'400;
    const MockPki pki = make_pki(seed, {}, {});
    CHECK(pki.root == folder->bytes("root.der"));
    CHECK(root_crl(seed, pki, {}) == folder->bytes("root-crl.der"));
    CHECK(pck_crl(pki, {}) == folder->bytes("pck-crl.der"));
    const auto made = make_collateral(seed, {}, {}, kIssued + kDay);
    const auto theirs = parse_collateral(folder->text("collateral.json"));
    REQUIRE(theirs.has_value());
    CHECK(made.tcb_info == theirs->tcb_info);
    CHECK(made.tcb_info_signature == theirs->tcb_info_signature);
    CHECK(made.qe_identity == theirs->qe_identity);
    CHECK(made.qe_identity_signature == theirs->qe_identity_signature);
    // Their quote is good with our collateral, under our root.
    CHECK(verify_quote(folder->bytes("quote.bin"), made, anchor_of(seed), kIssued + kDay)
              .has_value());
}

TEST_CASE("evidence of the simulated machine is accepted, in both quote versions") {
    const Machine machine(seed_of(1), {});
    const auto verdict = judge(machine, {}, anchor_of(machine.seed()));
    INFO(outcome(verdict));
    REQUIRE(verdict.has_value());
    CHECK(verdict->quote.tcb.status == TcbStatus::up_to_date);
    CHECK(std::ranges::equal(verdict->quote.ppid, machine.platform({}).ppid));

    QuoteRequest request{machine.measurements({}), report_data_of_key(), 5};
    const Bytes version5 = make_quote(machine.seed(), machine.platform({}), {}, request);
    CHECK(verify_quote(version5, make_collateral(machine.seed(), machine.platform({}), {}, kNow),
                       anchor_of(machine.seed()), kNow)
              .has_value());
}

TEST_CASE("everything follows from the seed") {
    const Machine one(seed_of(2), {}), same(seed_of(2), {}), other(seed_of(3), {});
    const ReportData report_data = report_data_of_key();
    CHECK(encode_v0(one.attest(report_data, {})) == encode_v0(same.attest(report_data, {})));
    CHECK(encode_v0(one.attest(report_data, {})) != encode_v0(other.attest(report_data, {})));
    CHECK(to_json(make_collateral(seed_of(2), {}, {}, kNow)) ==
          to_json(make_collateral(seed_of(2), {}, {}, kNow)));
}

TEST_CASE("each fault is refused at its stage, the others are for policy") {
    const Machine machine(seed_of(4), {});
    const TrustAnchor anchor = anchor_of(machine.seed());
    for (const FaultRow& row : fault_rows()) {
        INFO(row.name << ": " << row.what);
        CHECK(fault_of(row.name) == row.fault);
        const auto verdict = judge(machine, {row.fault}, anchor);
        INFO(outcome(verdict));
        if (row.stage) {
            REQUIRE(!verdict.has_value());
            CHECK(to_string(verdict.error().stage) == to_string(*row.stage));
        } else {
            CHECK(verdict.has_value());
        }
    }
    CHECK(!fault_of("no-such-fault"));
}

TEST_CASE("each stage that refuses TDX evidence has a fault") {
    // A pod's payload is no part of the simulated machine, and other platforms are not simulated.
    for (std::size_t i = 0; i < kStageCount; ++i) {
        const auto stage = static_cast<Stage>(i);
        if (stage == Stage::report_data_payload || stage == Stage::platform) continue;
        INFO(to_string(stage));
        CHECK(std::ranges::any_of(fault_rows(),
                                  [&](const FaultRow& row) { return row.stage == stage; }));
    }
}

TEST_CASE("faults that policy sees change what is told of the machine") {
    const Machine machine(seed_of(5), {});
    const TrustAnchor anchor = anchor_of(machine.seed());
    const auto info = [&](const Faults& faults) {
        const auto verdict = judge(machine, faults, anchor);
        REQUIRE(verdict.has_value());
        auto app = decode_app_info(machine.attest(report_data_of_key(), faults),
                                   AppInfoAt::run_time, verdict->quote.ppid, "");
        REQUIRE(app.has_value());
        return *app;
    };
    const AppInfo usual = info({});
    CHECK(usual.app_id == machine.app_id({}));
    CHECK(usual.os_image_hash == machine.os_image_hash());
    CHECK(info({Fault::other_device}).device_id != usual.device_id);
    CHECK(info({Fault::other_measurement}).mr_aggregated != usual.mr_aggregated);
    CHECK(info({Fault::other_application}).app_id != usual.app_id);
    const auto old = judge(machine, {Fault::out_of_date}, anchor);
    REQUIRE(old.has_value());
    CHECK(old->quote.tcb.status == TcbStatus::out_of_date);
    CHECK(old->quote.tcb.advisory_ids.size() == 2);
}

TEST_CASE("an event that is emitted extends RTMR3, up to a bound") {
    Machine machine(seed_of(6), {});
    const auto before = machine.measurements({}).rtmr[3];
    REQUIRE(machine.emit("custom", {1, 2, 3}).has_value());
    CHECK(machine.measurements({}).rtmr[3] != before);
    CHECK(judge(machine, {}, anchor_of(machine.seed())).has_value());
    CHECK(!machine.emit("too-large", Bytes(4097)).has_value());
    for (int i = 0; i < 255; ++i) CHECK(machine.emit("more", {}).has_value());
    CHECK(!machine.emit("one too many", {}).has_value());
}

TEST_CASE("collateral holds for thirty days") {
    const Machine machine(seed_of(7), {});
    const TrustAnchor anchor = anchor_of(machine.seed());
    constexpr UnixSeconds kDay = 86'400;
    CHECK(judge(machine, {}, anchor, kNow + 30 * kDay).has_value());
    const auto late = judge(machine, {}, anchor, kNow + 30 * kDay + 1);
    REQUIRE(!late.has_value());
    CHECK(late.error().stage == Stage::tcb_info);
}

TEST_CASE("nothing of the simulator is accepted under Intel's root, nor under another seed's") {
    const Machine machine(seed_of(8), {});
    for (const TrustAnchor& anchor : {TrustAnchor::intel(), anchor_of(seed_of(9))}) {
        const auto verdict = judge(machine, {}, anchor);
        REQUIRE(!verdict.has_value());
        CHECK(verdict.error().stage == Stage::root_crl);
    }
}
