#include "kms/rpc/csr.hpp"

#include "kms/evidence/report_data.hpp"
#include "kms/evidence/scale.hpp"
#include "tests/support/mock_evidence.hpp"

#include <catch2/catch.hpp>

using namespace kms;
using test_support::hex_at;
using test_support::must;

namespace {

void append(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// A request of layout A, B, or version 1, written by hand.
struct Request {
    std::string confirm = std::string(kCsrConfirmation);
    crypto::P256Key key = must(crypto::P256Key::generate());
    std::optional<Bytes> public_key;  ///< instead of the key's own
    std::vector<std::string> names = {"a.example"};

    Bytes spki() const {
        if (public_key) return *public_key;
        const auto der = crypto::spki_der(key.public_point());
        return {der.begin(), der.end()};
    }
    Bytes common() const {
        Bytes out;
        scale::append_text(out, confirm);
        scale::append_bytes(out, spki());
        out.push_back(1);
        scale::append_text(out, "Org");
        scale::append_text(out, "subject");
        scale::append_compact(out, names.size());
        for (const auto& name : names) scale::append_text(out, name);
        append(out, Bytes{1, 0, 1});
        return out;
    }
    Attestation evidence() const { return test_support::mock_evidence(ratls_report_data(spki())); }
    Bytes layout_a() const {
        Bytes out = common();
        append(out, encode_v0(evidence()));
        return out;
    }
    Bytes layout_b(bool v1) const {
        Bytes out = common();
        append(out, Bytes{1});                                      // app info
        append(out, Bytes{1, 0x00, 0xF1, 0x53, 0x65, 0, 0, 0, 0});  // not before 1700000000
        append(out, Bytes{0});
        append(out, v1 ? encode_v1(evidence()) : encode_v0(evidence()));
        return out;
    }
    Bytes version_1() const {
        const Attestation attestation = evidence();
        const auto& tdx = std::get<TdxEvidence>(attestation.platform);
        Bytes out = common();
        scale::append_bytes(out, tdx.quote);
        scale::append_text(out, to_json(std::span<const TdxEvent>(tdx.event_log)));
        return out;
    }
};

void check_common(const CertificateRequest& request, const Request& made) {
    CHECK(request.public_key == made.spki());
    CHECK(request.certificate.subject.organisation == "Org");
    CHECK(request.certificate.subject.common_name == "subject");
    CHECK(request.certificate.alt_names == std::vector<std::string>{"a.example"});
    CHECK(request.certificate.server_auth);
    CHECK_FALSE(request.certificate.client_auth);
    CHECK(request.wants_attestation);
    CHECK(request.attestation.runtime_events == made.evidence().runtime_events);
}

std::string error_of(CsrForm form, const Bytes& csr, const Bytes& signature) {
    const auto opened = open_csr(form, csr, signature);
    REQUIRE_FALSE(opened.has_value());
    return opened.error().text();
}

}  // namespace

TEST_CASE("the computed request of version 1 decodes to its fields") {
    const auto vectors = test_support::kms_vectors("csr.json");
    const Bytes csr = hex_at(vectors, "v1");
    const auto decoded = must(decode_csr(CsrForm::v1, csr));
    CHECK(decoded.request.confirm == kCsrConfirmation);
    CHECK(decoded.request.public_key == Bytes{1, 2, 3});
    CHECK(decoded.request.certificate.subject.organisation == "Test Org");
    CHECK(decoded.request.certificate.subject.common_name == "test.example.com");
    CHECK(decoded.request.certificate.alt_names == std::vector<std::string>{"alt.example.com"});
    CHECK(decoded.request.certificate.server_auth);
    CHECK_FALSE(decoded.request.certificate.client_auth);
    CHECK(decoded.request.wants_attestation);
    CHECK(runtime::to_hex(decoded.quote) == "0908");
    CHECK(runtime::as_text(decoded.event_log) == "[]");
}

TEST_CASE("the computed requests of version 2 decode, whichever layout they have") {
    const auto vectors = test_support::kms_vectors("csr.json");
    for (const char* name :
         {"v2_new_1", "v2_new_2_with_quote_09", "v2_era_1", "v2_era_2_with_quote_09"}) {
        INFO(name);
        const Bytes csr = hex_at(vectors, name);
        const auto decoded = must(decode_csr(CsrForm::v2, csr));
        CHECK(decoded.request.public_key == Bytes{1, 2, 3});
        CHECK(decoded.request.certificate.subject.common_name == "test.example.com");
        CHECK(decoded.request.certificate.alt_names.empty());
        const auto& tdx = std::get<TdxEvidence>(decoded.request.attestation.platform);
        CHECK(runtime::to_hex(tdx.quote) == (std::string(name).ends_with("09") ? "09" : ""));
    }
}

TEST_CASE("layout B as the newest original's encoder writes it") {
    const auto vector = test_support::kms_vectors("encodings_N.json").at("csr_v2B");
    for (const char* name : {"with_v0", "with_v1"}) {
        INFO(name);
        const Bytes csr = hex_at(vector, name);
        const auto decoded = must(decode_csr(CsrForm::v2, csr));
        CHECK(decoded.request.public_key == hex_at(vector, "pubkey"));
        CHECK(decoded.request.wants_app_info);
        REQUIRE(decoded.request.certificate.not_before.has_value());
        CHECK(decoded.request.certificate.not_before->time_since_epoch().count() == 1'700'000'000);
    }
}

TEST_CASE("requests of every form are opened") {
    const Request made;
    const auto open = [&](CsrForm form, const Bytes& csr) {
        auto opened = open_csr(form, csr, must(made.key.sign(csr)));
        if (!opened) FAIL(opened.error().text());
        check_common(*opened, made);
        return std::move(*opened);
    };
    CHECK_FALSE(open(CsrForm::v2, made.layout_a()).wants_app_info);
    for (const bool v1 : {false, true}) {
        const auto b = open(CsrForm::v2, made.layout_b(v1));
        CHECK(b.wants_app_info);
        CHECK(b.certificate.not_before.has_value());
        CHECK_FALSE(b.certificate.not_after.has_value());
    }
    CHECK(open(CsrForm::v1, made.version_1()).attestation.form == AttestationForm::quote_and_log);
}

TEST_CASE("what is wrong with a request is told in the protocol's words") {
    const Request made;
    const Bytes csr = made.layout_a();
    const Bytes signature = must(made.key.sign(csr));
    const std::string bad_signature =
        "Failed to verify csr signature\n\nCaused by:\n    Invalid signature";
    CHECK(error_of(CsrForm::v2, csr, {}) == bad_signature);
    CHECK(error_of(CsrForm::v2, csr, Bytes(64, 1)) == bad_signature);
    CHECK(error_of(CsrForm::v2, csr, must(crypto::P256Key::generate()->sign(csr))) ==
          bad_signature);

    Request other_word;
    other_word.confirm = "please sign this";
    const Bytes other = other_word.layout_a();
    CHECK(error_of(CsrForm::v2, other, must(other_word.key.sign(other))) ==
          "Failed to verify csr signature\n\nCaused by:\n    Invalid confirm word");

    struct KeyRow {
        const char* spki;
        const char* error;
    };
    const KeyRow keys[] = {
        {"302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
         "Unsupported algorithm"},  // Ed25519
        {"3039301306072a8648ce3d020106082a8648ce3d030107032200036ff03b949241ce1dadd43519e6960e0a85b"
         "41a69a05c328103aa2bce1594ca16",
         "Invalid signature"},  // compressed
    };
    for (const KeyRow& row : keys) {
        Request with_key;
        with_key.public_key = test_support::hex(row.spki);
        const Bytes bytes = with_key.layout_a();
        CHECK(error_of(CsrForm::v2, bytes, must(with_key.key.sign(bytes))) ==
              std::string("Failed to verify csr signature\n\nCaused by:\n    ") + row.error);
    }
    Request garbage;
    garbage.public_key = Bytes{1, 2, 3};
    const Bytes garbled = garbage.layout_a();
    CHECK_THAT(error_of(CsrForm::v2, garbled, must(garbage.key.sign(garbled))),
               Catch::StartsWith("Failed to verify csr signature\n\nCaused by:\n    0: Failed to "
                                 "parse pubkey\n    1: "));
    Request no_log;
    Bytes v1 = no_log.common();
    scale::append_bytes(v1, {});
    scale::append_bytes(v1, {});
    CHECK_THAT(error_of(CsrForm::v1, v1, must(no_log.key.sign(v1))),
               Catch::StartsWith("Failed to upgrade csr v1 to v2\n\nCaused by:\n    "));
}

TEST_CASE("a request that is cut short, longer or damaged is refused") {
    const Request made;
    const std::pair<CsrForm, Bytes> wholes[] = {{CsrForm::v2, made.layout_a()},
                                                {CsrForm::v2, made.layout_b(true)},
                                                {CsrForm::v1, made.version_1()}};
    for (const auto& [form, whole] : wholes) {
        for (std::size_t size = 0; size < whole.size(); size += size < 300 ? 1 : 97)
            CHECK_FALSE(decode_csr(form, ByteView(whole).first(size)).has_value());
        Bytes longer = whole;
        longer.push_back(0);
        CHECK_FALSE(decode_csr(form, longer).has_value());
        const Bytes signature = must(made.key.sign(whole));
        for (std::size_t at = 0; at < whole.size(); at += at < 300 ? 1 : 61) {
            Bytes damaged = whole;
            damaged[at] ^= 0x10;
            CHECK_FALSE(open_csr(form, damaged, signature).has_value());
        }
    }
}
