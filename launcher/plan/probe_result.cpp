#include "launcher/plan/probe_result.hpp"

namespace launcher {

std::string_view to_string(ProbeOutcome outcome) {
    switch (outcome) {
        case ProbeOutcome::ok:
            return "ok";
        case ProbeOutcome::dns_error:
            return "dns_error";
        case ProbeOutcome::tcp_refused:
            return "tcp_refused";
        case ProbeOutcome::tcp_timeout:
            return "tcp_timeout";
        case ProbeOutcome::tls_timeout:
            return "tls_timeout";
        case ProbeOutcome::tls_closed:
            return "tls_closed";
        case ProbeOutcome::tls_error:
            return "tls_error";
        case ProbeOutcome::send_timeout:
            return "send_timeout";
        case ProbeOutcome::http_headers_timeout:
            return "http_headers_timeout";
        case ProbeOutcome::http_closed:
            return "http_closed";
        case ProbeOutcome::http_malformed:
            return "http_malformed";
        case ProbeOutcome::http_status:
            return "http_status";
        case ProbeOutcome::http_body_timeout:
            return "http_body_timeout";
        case ProbeOutcome::http_body_mismatch:
            return "http_body_mismatch";
        case ProbeOutcome::probe_error:
            return "probe_error";
        case ProbeOutcome::probe_late:
            return "probe_late";
    }
    return "unknown";
}

bool is_timeout(ProbeOutcome outcome) {
    switch (outcome) {
        case ProbeOutcome::tcp_timeout:
        case ProbeOutcome::tls_timeout:
        case ProbeOutcome::send_timeout:
        case ProbeOutcome::http_headers_timeout:
        case ProbeOutcome::http_body_timeout:
            return true;
        default:
            return false;
    }
}

std::string_view to_string(ProbeStage stage) {
    switch (stage) {
        case ProbeStage::resolve:
            return "resolve";
        case ProbeStage::connect:
            return "connect";
        case ProbeStage::tls:
            return "tls";
        case ProbeStage::request:
            return "request";
        case ProbeStage::headers:
            return "headers";
        case ProbeStage::body:
            return "body";
    }
    return "unknown";
}

}  // namespace launcher
