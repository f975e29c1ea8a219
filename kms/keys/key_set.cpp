#include "kms/keys/key_set.hpp"

#include "kms/keys/profiles.hpp"

#include <utility>

namespace kms::keys {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string quoted(KeyFile file) {
    return "'" + std::string(file_name(file)) + "'";
}

/// The error of a file that cannot be used, with what to do.
Error damaged(KeyFile file, std::string_view why) {
    return Error{ErrorCode::invalid_argument, quoted(file) +
                                                  " cannot be used: " + std::string(why) +
                                                  "; restore this file from a backup"};
}

Result<std::string_view> text_of(const KeyFiles& files, KeyFile file) {
    const std::optional<SecretBytes>& content = files[file];
    if (!content.has_value()) return damaged(file, "it is missing");
    if (content->empty()) return damaged(file, "it is empty");
    return content->text();
}

Result<crypto::P256Key> p256_key(const KeyFiles& files, KeyFile file) {
    TRY(const std::string_view text, text_of(files, file));
    Result<crypto::P256Key> key = crypto::P256Key::from_pkcs8_pem(text);
    if (!key.has_value()) return damaged(file, key.error().context);
    return key;
}

Result<crypto::K256Key> k256_key(const KeyFiles& files) {
    constexpr KeyFile kFile = KeyFile::root_k256_key;
    TRY(const std::string_view bytes, text_of(files, kFile));
    Result<Secret<32>> scalar = Secret<32>::copy_of(runtime::as_bytes(bytes));
    if (!scalar.has_value())
        return damaged(
            kFile, "it has " + std::to_string(bytes.size()) + " bytes, and a key has exactly 32");
    Result<crypto::K256Key> key = crypto::K256Key::from_scalar(std::move(*scalar));
    if (!key.has_value()) return damaged(kFile, key.error().context);
    return key;
}

/// The text of a certificate that belongs to `key`.
Result<std::string> certificate(const KeyFiles& files, KeyFile file, const crypto::P256Point& key,
                                KeyFile key_file) {
    TRY(const std::string_view text, text_of(files, file));
    Result<crypto::CertificateFacts> facts = crypto::read_certificate(text);
    if (!facts.has_value()) return damaged(file, facts.error().context);
    if (facts->public_key != key)
        return Error{
            ErrorCode::invalid_argument,
            quoted(file) + " does not belong to " + quoted(key_file) +
                ": the certificate is for another key; restore both files from the same backup"};
    return std::string(text);
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

SecretBytes bytes_of(std::string_view text) {
    return SecretBytes::copy_of(runtime::as_bytes(text));
}

}  // namespace

std::string_view file_name(KeyFile file) {
    switch (file) {
        case KeyFile::temp_ca_key:
            return "tmp-ca.key";
        case KeyFile::root_ca_key:
            return "root-ca.key";
        case KeyFile::rpc_key:
            return "rpc.key";
        case KeyFile::root_k256_key:
            return "root-k256.key";
        case KeyFile::temp_ca_certificate:
            return "tmp-ca.crt";
        case KeyFile::root_ca_certificate:
            return "root-ca.crt";
        case KeyFile::rpc_certificate:
            return "rpc.crt";
        case KeyFile::rpc_domain:
            return "rpc-domain";
        case KeyFile::bootstrap_info:
            return "bootstrap-info.json";
    }
    return "";
}

Result<KeySet> parse(const KeyFiles& files) {
    TRY(crypto::P256Key temp_ca_key, p256_key(files, KeyFile::temp_ca_key));
    TRY(crypto::P256Key root_ca_key, p256_key(files, KeyFile::root_ca_key));
    TRY(crypto::P256Key rpc_key, p256_key(files, KeyFile::rpc_key));
    TRY(crypto::K256Key root_k256_key, k256_key(files));
    Certificates certificates;
    TRY(certificates.temp_ca, certificate(files, KeyFile::temp_ca_certificate,
                                          temp_ca_key.public_point(), KeyFile::temp_ca_key));
    TRY(certificates.root_ca, certificate(files, KeyFile::root_ca_certificate,
                                          root_ca_key.public_point(), KeyFile::root_ca_key));
    Result<std::string> rpc =
        certificate(files, KeyFile::rpc_certificate, rpc_key.public_point(), KeyFile::rpc_key);
    std::optional<std::string> rpc_problem;
    if (rpc.has_value())
        certificates.rpc = std::move(*rpc);
    else
        rpc_problem = rpc.error().context;

    std::optional<std::string> domain;
    if (const std::optional<SecretBytes>& text = files[KeyFile::rpc_domain]; text.has_value())
        if (const std::string_view name = trimmed(text->text()); !name.empty()) domain = name;

    TRY(const std::string_view temp_ca_key_text, text_of(files, KeyFile::temp_ca_key));
    return KeySet{
        .root = RootKeys(std::move(root_ca_key), std::move(root_k256_key)),
        .temp_ca_key = std::move(temp_ca_key),
        .rpc_key = std::move(rpc_key),
        .temp_ca_key_text = bytes_of(temp_ca_key_text),
        .certificates = std::move(certificates),
        .domain = std::move(domain),
        .rpc_certificate_problem = std::move(rpc_problem),
    };
}

KeyFiles to_files(const KeySet& keys, const std::optional<std::string>& bootstrap_info) {
    RootKeys::HandOver root = keys.root.hand_over();
    KeyFiles files;
    files[KeyFile::temp_ca_key] = keys.temp_ca_key_text.clone();
    files[KeyFile::root_ca_key] = std::move(root.ca_key_pem);
    files[KeyFile::rpc_key] = keys.rpc_key.pkcs8_pem();
    files[KeyFile::root_k256_key] = SecretBytes::copy_of(root.k256_key.view());
    files[KeyFile::temp_ca_certificate] = bytes_of(keys.certificates.temp_ca);
    files[KeyFile::root_ca_certificate] = bytes_of(keys.certificates.root_ca);
    files[KeyFile::rpc_certificate] = bytes_of(keys.certificates.rpc);
    if (keys.domain.has_value()) files[KeyFile::rpc_domain] = bytes_of(*keys.domain);
    if (bootstrap_info.has_value()) files[KeyFile::bootstrap_info] = bytes_of(*bootstrap_info);
    return files;
}

}  // namespace kms::keys
