#include "kms/program/inspect_certificate.hpp"

#include "kms/crypto/leaf_certificate.hpp"
#include "kms/crypto/pem.hpp"
#include "kms/evidence/app_info.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/rpc/attested_peer.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>

namespace kms {
namespace {

using crypto::CustomExtension;
using crypto::LeafCertificate;

constexpr std::size_t kLabelWidth = 20;

void line(std::string& out, std::string_view label, std::string_view value) {
    out.append(label).append(label.size() < kLabelWidth ? kLabelWidth - label.size() : 1, ' ');
    // A certificate holds foreign text; control characters in it must not reach a terminal.
    for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    out += '\n';
}

/// What OpenSSL prints into memory.
template <class Print>
std::string printed(Print print) {
    const runtime::OwnedBio memory(BIO_new(BIO_s_mem()));
    if (memory == nullptr) return {};
    print(memory.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

void append_names(std::string& out, ByteView der) {
    const unsigned char* cursor = der.data();
    const runtime::OwnedX509 certificate(d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
    if (certificate == nullptr) return;
    const auto name = [](const X509_NAME* of) {
        return printed([of](BIO* to) { X509_NAME_print_ex(to, of, 0, XN_FLAG_ONELINE); });
    };
    const auto date = [](const ASN1_TIME* at) {
        return printed([at](BIO* to) { ASN1_TIME_print(to, at); });
    };
    line(out, "subject", name(X509_get_subject_name(certificate.get())));
    line(out, "issuer", name(X509_get_issuer_name(certificate.get())));
    line(out, "valid from", date(X509_get0_notBefore(certificate.get())));
    line(out, "valid until", date(X509_get0_notAfter(certificate.get())));
}

void append_payload(std::string& out, std::string_view label, const LeafCertificate& certificate,
                    CustomExtension extension, bool as_text) {
    const auto payload = certificate.payload(extension);
    if (!payload)
        line(out, label, "(broken: " + payload.error().context + ")");
    else if (!payload->has_value())
        line(out, label, "(none)");
    else if (as_text)
        line(out, label, runtime::as_text(**payload));
    else
        line(out, label, runtime::to_hex(**payload));
}

void append_evidence(std::string& out, const LeafCertificate& certificate) {
    const auto evidence = evidence_of(certificate);
    if (!evidence) return line(out, "attestation", "(broken: " + evidence.error().text() + ")");
    if (*evidence == nullptr) return line(out, "attestation", "(none)");
    const Attestation& attestation = **evidence;
    constexpr std::string_view kForms[] = {"version 0", "version 1", "quote and event log"};
    line(out, "attestation",
         std::string(attestation_mode(attestation.platform)) + ", " +
             std::string(kForms[static_cast<std::size_t>(attestation.form)]) +
             "; decoded only, not verified");
    const bool bound =
        std::ranges::equal(attestation.report_data, ratls_report_data(certificate.spki()));
    line(out, "  binds this key", bound ? "yes" : "no");
    const auto app = decode_app_info(attestation, AppInfoAt::run_time, {}, {});
    if (!app) return line(out, "  identity", "(cannot be read: " + app.error().context + ")");
    line(out, "  app id", runtime::to_hex(app->app_id));
    line(out, "  instance id", runtime::to_hex(app->instance_id));
    line(out, "  compose hash", runtime::to_hex(app->compose_hash));
    line(out, "  os image hash", runtime::to_hex(app->os_image_hash));
    line(out, "  mr system", runtime::to_hex(app->mr_system));
    line(out, "  mr aggregated", runtime::to_hex(app->mr_aggregated));
    for (const RuntimeEvent& event : attestation.runtime_events)
        line(out, "  event", event.event + " " + runtime::to_hex(event.payload));
}

}  // namespace

Result<std::string> describe_certificate(std::string_view pem) {
    TRY(const auto der, crypto::first_pem_block(pem));
    TRY(const LeafCertificate certificate,
        LeafCertificate::parse(der.view()).within("not a certificate"));
    std::string out;
    append_names(out, der.view());
    for (const std::string& name : certificate.dns_names()) line(out, "dns name", name);
    append_payload(out, "app id", certificate, CustomExtension::app_id, false);
    append_payload(out, "special usage", certificate, CustomExtension::special_usage, true);
    append_payload(out, "app info", certificate, CustomExtension::app_info, false);
    append_evidence(out, certificate);
    return out;
}

}  // namespace kms
