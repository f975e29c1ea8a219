/// Test vectors of the KMS as JSON, and the small conversions that every test of them needs.
#pragma once

#include "kms/keys/key_set.hpp"
#include "launcher/runtime/bytes.hpp"

#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>

namespace test_support {

/// The value of a result that must be there.
template <class T>
T must(runtime::Result<T> result) {
    if (!result.has_value()) FAIL(result.error().context);
    return std::move(*result);
}

inline std::optional<std::string> read_text(const std::string& path) {
    const std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// A file of tests/vectors/kms.
inline boost::json::value kms_vectors(const std::string& name) {
    const std::optional<std::string> text = read_text(std::string(TEST_VECTORS) + "/kms/" + name);
    REQUIRE(text.has_value());
    return boost::json::parse(*text);
}

/// A file of the shared test data, which a user's clone does not have: then nullopt, and a warning
/// that says so.
inline std::optional<std::string> shared_kms_text(const std::string& name) {
    std::optional<std::string> text = read_text(std::string(TEST_SHARED) + "/testdata/kms/" + name);
    if (!text.has_value()) WARN("skipped: the shared test data is not here: kms/" + name);
    return text;
}

inline std::string text_at(const boost::json::value& object, std::string_view key) {
    return std::string(object.at(key).as_string());
}
inline runtime::Bytes hex(std::string_view digits) {
    auto bytes = runtime::from_hex(digits);
    REQUIRE(bytes.has_value());
    return *bytes;
}
inline runtime::Bytes hex_at(const boost::json::value& object, std::string_view key) {
    return hex(text_at(object, key));
}
inline runtime::Secret<32> secret(runtime::ByteView bytes) {
    auto copy = runtime::Secret<32>::copy_of(bytes);
    REQUIRE(copy.has_value());
    return std::move(*copy);
}

/// The root keys of a vector that gives them as scalars.
inline kms::keys::RootKeys root_keys(runtime::ByteView p256_scalar, runtime::ByteView k256_scalar) {
    auto ca = kms::crypto::P256Key::from_scalar(secret(p256_scalar));
    auto k256 = kms::crypto::K256Key::from_scalar(secret(k256_scalar));
    REQUIRE(ca.has_value());
    REQUIRE(k256.has_value());
    return {std::move(*ca), std::move(*k256)};
}

/// The files that the original wrote for the key set of keys_and_env_pubkeys.json.
inline kms::keys::KeyFiles original_key_files() {
    using kms::keys::KeyFile;
    const boost::json::value vectors = kms_vectors("keys_and_env_pubkeys.json");
    const boost::json::value& keys = vectors.at("keys");
    kms::keys::KeyFiles files;
    const auto put = [&](KeyFile file, std::string_view key) {
        files[file] = runtime::SecretBytes::copy_of(runtime::as_bytes(text_at(keys, key)));
    };
    put(KeyFile::temp_ca_key, "tmp_ca_key_pem");
    put(KeyFile::root_ca_key, "root_ca_key_pem");
    put(KeyFile::rpc_key, "rpc_key_pem");
    put(KeyFile::temp_ca_certificate, "tmp_ca_crt_pem");
    put(KeyFile::root_ca_certificate, "root_ca_crt_pem");
    put(KeyFile::rpc_certificate, "rpc_crt_pem");
    put(KeyFile::rpc_domain, "rpc_domain");
    files[KeyFile::root_k256_key] = runtime::SecretBytes::copy_of(hex_at(keys, "root_k256_scalar"));
    return files;
}

}  // namespace test_support
