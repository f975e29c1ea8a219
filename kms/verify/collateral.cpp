#include "kms/verify/collateral.hpp"

#include "kms/evidence/json_reader.hpp"
#include "kms/evidence/json_writer.hpp"

namespace kms {

Result<Collateral> parse_collateral(std::string_view json) {
    static constexpr std::string_view kNames[] = {
        "pck_crl_issuer_chain",     "root_ca_crl", "pck_crl",
        "tcb_info_issuer_chain",    "tcb_info",    "tcb_info_signature",
        "qe_identity_issuer_chain", "qe_identity", "qe_identity_signature",
        "pck_certificate_chain"};
    Collateral collateral;
    JsonReader reader(json);
    const auto text = [&reader](std::string& member) -> Result<void> {
        TRY(member, reader.text());
        return {};
    };
    const auto binary = [&reader](Bytes& member) -> Result<void> {
        TRY(member, hex_member(reader));
        return {};
    };
    TRY_VOID(
        read_members(reader, kNames, first_members(9), [&](std::size_t member) -> Result<void> {
            switch (member) {
                case 0:
                    return text(collateral.pck_crl_issuer_chain);
                case 1:
                    return binary(collateral.root_ca_crl);
                case 2:
                    return binary(collateral.pck_crl);
                case 3:
                    return text(collateral.tcb_info_issuer_chain);
                case 4:
                    return text(collateral.tcb_info);
                case 5:
                    return binary(collateral.tcb_info_signature);
                case 6:
                    return text(collateral.qe_identity_issuer_chain);
                case 7:
                    return text(collateral.qe_identity);
                case 8:
                    return binary(collateral.qe_identity_signature);
                default:
                    if (reader.peek() == JsonReader::Kind::null) return reader.null();
                    return text(collateral.pck_certificate_chain.emplace());
            }
        }));
    TRY_VOID(reader.finish());
    return collateral;
}

std::string to_json(const Collateral& collateral) {
    std::string out;
    const auto text = [&out](std::string_view name, std::string_view value) {
        out += out.empty() ? "{" : ",";
        append_json_string(out, name);
        out += ':';
        append_json_string(out, value);
    };
    text("pck_crl_issuer_chain", collateral.pck_crl_issuer_chain);
    text("root_ca_crl", runtime::to_hex(collateral.root_ca_crl));
    text("pck_crl", runtime::to_hex(collateral.pck_crl));
    text("tcb_info_issuer_chain", collateral.tcb_info_issuer_chain);
    text("tcb_info", collateral.tcb_info);
    text("tcb_info_signature", runtime::to_hex(collateral.tcb_info_signature));
    text("qe_identity_issuer_chain", collateral.qe_identity_issuer_chain);
    text("qe_identity", collateral.qe_identity);
    text("qe_identity_signature", runtime::to_hex(collateral.qe_identity_signature));
    if (collateral.pck_certificate_chain)
        text("pck_certificate_chain", *collateral.pck_certificate_chain);
    return out + "}";
}

}  // namespace kms
