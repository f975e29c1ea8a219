/// Test vectors of attestation: files as bytes, cases as JSON.
#pragma once

#include "launcher/runtime/bytes.hpp"

#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>

namespace test_support {

inline std::optional<std::string> file_text(const std::string& path) {
    const std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// A folder of vectors: our own copy, or the shared test data, which a user's clone does not have.
class VectorFolder {
  public:
    static VectorFolder own(const std::string& name) {
        return VectorFolder(std::string(TEST_VECTORS) + "/attestation/" + name + "/");
    }
    /// Nothing, and a warning that says so, when it is not here.
    static std::optional<VectorFolder> shared(const std::string& name) {
        const VectorFolder folder(std::string(TEST_SHARED) + "/testdata/attestation/" + name + "/");
        if (std::ifstream(std::string(TEST_SHARED) + "/README.md")) return folder;
        WARN("skipped: the shared test data is not here: attestation/" + name);
        return std::nullopt;
    }

    std::string text(const std::string& file) const {
        const auto found = file_text(path_ + file);
        INFO(path_ + file);
        REQUIRE(found.has_value());
        return *found;
    }
    runtime::Bytes bytes(const std::string& file) const {
        const std::string content = text(file);
        const auto view = runtime::as_bytes(content);
        return {view.begin(), view.end()};
    }
    boost::json::value json(const std::string& file) const {
        return boost::json::parse(text(file));
    }

  private:
    explicit VectorFolder(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

inline std::string text_of(const boost::json::value& object, std::string_view key) {
    return std::string(object.at(key).as_string());
}
inline std::string text_or(const boost::json::value& object, std::string_view key,
                           std::string_view otherwise) {
    const auto* found = object.as_object().if_contains(key);
    return found != nullptr && found->is_string() ? std::string(found->as_string())
                                                  : std::string(otherwise);
}
inline runtime::Bytes hex_of(const boost::json::value& object, std::string_view key) {
    auto bytes = runtime::from_hex(text_of(object, key));
    REQUIRE(bytes.has_value());
    return *bytes;
}

}  // namespace test_support
