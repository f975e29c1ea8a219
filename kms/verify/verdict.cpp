#include "kms/verify/verdict.hpp"

namespace kms {

std::string_view to_string(Stage stage) {
    constexpr std::string_view kNames[kStageCount] = {"report_data_payload",
                                                      "key_binding",
                                                      "root_crl",
                                                      "quote",
                                                      "header",
                                                      "tcb_info",
                                                      "tcb_info_chain",
                                                      "tcb_info_signature",
                                                      "qe_identity",
                                                      "qe_identity_chain",
                                                      "qe_identity_signature",
                                                      "qe_identity_kind",
                                                      "pck_chain",
                                                      "pck_extension",
                                                      "qe_report",
                                                      "qe_policy",
                                                      "isv_signature",
                                                      "platform_tcb",
                                                      "tdx_module",
                                                      "merge",
                                                      "attributes",
                                                      "dstack_policy",
                                                      "rtmr3",
                                                      "report_data",
                                                      "preimage",
                                                      "platform"};
    return kNames[static_cast<std::size_t>(stage)];
}

}  // namespace kms
