// Quotes taken apart: every field of the real ones, and every way to be cut or bent.
#include "kms/evidence/quote.hpp"

#include "tests/support/attestation_vectors.hpp"

using namespace test_support;
using kms::parse_quote;

namespace {

std::string hex(runtime::ByteView bytes) {
    return runtime::to_hex(bytes);
}

std::uint64_t number(const boost::json::value& object, std::string_view key) {
    return object.at(key).to_number<std::uint64_t>();
}

void check_enclave(const kms::EnclaveReport& report, const boost::json::value& expected) {
    CHECK(hex(report.cpu_svn()) == text_of(expected, "cpu_svn"));
    CHECK(report.misc_select() == number(expected, "misc_select"));
    CHECK(hex(report.attributes()) == text_of(expected, "attributes"));
    CHECK(hex(report.mr_enclave()) == text_of(expected, "mr_enclave"));
    CHECK(hex(report.mr_signer()) == text_of(expected, "mr_signer"));
    CHECK(report.isv_prod_id() == number(expected, "isv_prod_id"));
    CHECK(report.isv_svn() == number(expected, "isv_svn"));
    CHECK(hex(report.report_data()) == text_of(expected, "report_data"));
}

void check_td(const kms::TdReport& report, const boost::json::value& expected) {
    CHECK(hex(report.tee_tcb_svn()) == text_of(expected, "tee_tcb_svn"));
    CHECK(hex(report.mr_seam()) == text_of(expected, "mr_seam"));
    CHECK(hex(report.mr_signer_seam()) == text_of(expected, "mr_signer_seam"));
    CHECK(hex(report.seam_attributes()) == text_of(expected, "seam_attributes"));
    CHECK(hex(report.td_attributes()) == text_of(expected, "td_attributes"));
    CHECK(hex(report.xfam()) == text_of(expected, "xfam"));
    CHECK(hex(report.mr_td()) == text_of(expected, "mr_td"));
    CHECK(hex(report.mr_config_id()) == text_of(expected, "mr_config_id"));
    CHECK(hex(report.mr_owner()) == text_of(expected, "mr_owner"));
    CHECK(hex(report.mr_owner_config()) == text_of(expected, "mr_owner_config"));
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(hex(report.rtmr(i)) == text_of(expected, "rt_mr" + std::to_string(i)));
    CHECK(hex(report.report_data()) == text_of(expected, "report_data"));
}

runtime::Bytes mock_quote(const std::string& name) {
    return VectorFolder::own("dcap-mock").bytes("quotes/" + name + ".bin");
}

std::string refusal(runtime::ByteView bytes) {
    const auto quote = parse_quote(bytes);
    return quote ? "parsed" : quote.error().context;
}

}  // namespace

TEST_CASE("every field of the real quotes") {
    const auto folder = VectorFolder::shared("dcap");
    if (!folder) return;
    for (const char* name :
         {"sgx-v3-config-and-hardening", "tdx-v4-uptodate", "tdx-v5-no-level", "tdx-v4-gcp-cos",
          "sgx-v3-debug", "parse-v3-cert-type-3", "parse-tdx-v4-known-pck",
          "tdx-v4-perfmon-no-level", "tdx-v4-ratls-asset-no-level"}) {
        INFO(name);
        const std::string dir(name);
        const runtime::Bytes bytes = folder->bytes(dir + "/quote.bin");
        const boost::json::value expected = folder->json(dir + "/parsed.json");
        const auto quote = parse_quote(bytes);
        REQUIRE(quote.has_value());
        const boost::json::value& header = expected.at("header");
        CHECK(quote->header.version == number(header, "version"));
        CHECK(quote->header.attestation_key_type == number(header, "att_key_type"));
        CHECK(quote->header.tee_type == number(header, "tee_type"));
        CHECK(quote->header.qe_svn == number(header, "qe_svn"));
        CHECK(quote->header.pce_svn == number(header, "pce_svn"));
        CHECK(hex(quote->header.qe_vendor_id) == text_of(header, "vendor"));
        CHECK(hex(quote->header.user_data) == text_of(header, "user_data"));
        const std::string kind = text_of(expected, "body_kind");
        if (kind == "sgx") {
            REQUIRE(quote->enclave_report() != nullptr);
            check_enclave(*quote->enclave_report(), expected.at("report"));
        } else {
            REQUIRE(quote->td_report() != nullptr);
            CHECK(quote->td_report()->is_version_15() == (kind == "td15"));
            check_td(*quote->td_report(), expected.at("report"));
        }
        CHECK(quote->signed_bytes.size() == number(expected, "signed_length"));
        CHECK(hex(quote->signature) == text_of(expected, "signature"));
        CHECK(hex(quote->attestation_key) == text_of(expected, "attestation_key"));
        check_enclave(quote->qe_report, expected.at("qe_report"));
        CHECK(hex(quote->qe_report_signature) == text_of(expected, "qe_report_signature"));
        CHECK(hex(quote->qe_authentication_data) == text_of(expected, "qe_auth_data"));
        CHECK(quote->certification.type == number(expected, "certification_type"));
        CHECK(quote->certification.data.size() == number(expected, "certification_data_length"));
    }
}

TEST_CASE("a quote borrows its bytes") {
    const runtime::Bytes bytes = mock_quote("tdx-v4-uptodate");
    const auto quote = parse_quote(bytes);
    REQUIRE(quote.has_value());
    CHECK(quote->signed_bytes.data() == bytes.data());
    CHECK(quote->td_report()->bytes().data() == bytes.data() + 48);
    CHECK(quote->certification.data.data() > bytes.data());
}

TEST_CASE("a quote cut anywhere before its end is refused") {
    for (const char* name : {"tdx-v4-uptodate", "tdx-v5-td10-uptodate", "sgx-v3-uptodate"}) {
        INFO(name);
        const runtime::Bytes bytes = mock_quote(name);
        REQUIRE(parse_quote(bytes).has_value());
        std::size_t parsed = 0;
        for (std::size_t size = 0; size < bytes.size(); ++size)
            if (parse_quote(runtime::ByteView(bytes).first(size))) ++parsed;
        CHECK(parsed == 0);
    }
}

TEST_CASE("what a quote may not say of itself") {
    struct Row {
        const char* name;
        std::size_t offset;
        std::uint8_t value;
        const char* answer;
    };
    static const Row kRows[] = {
        {"version 2", 0, 2, "Unsupported quote version"},
        {"version 6", 0, 6, "Unsupported quote version"},
        {"version 0x104", 1, 1, "Unsupported quote version"},
        {"version 3 with TEE type TDX", 0, 3, "Invalid TEE type"},
        {"TEE type 0x82 in version 4", 4, 0x82, "Invalid TEE type"},
        {"another attestation key type is not the parser's business", 2, 3, "parsed"},
        {"another outer certification type has no effect", 48 + 584 + 4 + 128, 7, "parsed"},
    };
    const runtime::Bytes good = mock_quote("tdx-v4-uptodate");
    for (const Row& row : kRows) {
        INFO(row.name);
        runtime::Bytes bytes = good;
        bytes[row.offset] = row.value;
        CHECK(refusal(bytes) == row.answer);
    }
}

TEST_CASE("a version 5 body other than 1 to 3 is refused, its size field has no effect") {
    runtime::Bytes bytes = mock_quote("tdx-v5-td10-uptodate");
    bytes[50] = 0xff;
    CHECK(refusal(bytes) == "parsed");
    for (const unsigned type : {0U, 4U, 255U}) {
        bytes[48] = static_cast<std::uint8_t>(type);
        CHECK(refusal(bytes) == "Unsupported quote body type");
    }
}

TEST_CASE("length fields above one mebibyte are refused before anything is read") {
    runtime::Bytes bytes = mock_quote("tdx-v4-uptodate");
    bytes.resize(3 * 1024 * 1024);
    const std::size_t length_at = 48 + 584;
    bytes[length_at] = 1;
    bytes[length_at + 1] = 0;
    bytes[length_at + 2] = 0x10;  // 1 MiB + 1
    CHECK(refusal(bytes) == "Data length exceeds maximum");
    bytes[length_at] = 0;
    CHECK(refusal(bytes) == "parsed");
}

TEST_CASE("the TD report of an enclave's quote") {
    const auto report = kms::td_report_of(mock_quote("sgx-v3-uptodate"));
    REQUIRE(!report.has_value());
    CHECK(report.error().context == "Invalid TDX report");
    const runtime::Bytes td = mock_quote("tdx-v4-uptodate");
    CHECK(kms::td_report_of(td).has_value());
}
