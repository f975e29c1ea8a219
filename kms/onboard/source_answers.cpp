#include "kms/onboard/source_answers.hpp"

#include "kms/crypto/certificate.hpp"

#include <boost/json.hpp>

namespace kms {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
using runtime::Secret;
using runtime::SecretBytes;

Error bad(std::string text) {
    return Error{ErrorCode::invalid_argument, std::move(text)};
}

/// A JSON document in memory that is wiped: the texts in it are private keys.
class SecretDocument {
  public:
    static Result<std::unique_ptr<SecretDocument>> parse(std::string_view text) {
        auto document = std::make_unique<SecretDocument>(text.size());
        boost::system::error_code error;
        json::parser parser(&document->scratch_, {}, document->stack_.writable().data(),
                            document->stack_.size());
        parser.reset(&document->memory_);
        parser.write(text.data(), text.size(), error);
        if (error) return bad("the answer is not JSON: " + error.message());
        document->root_ = parser.release();
        if (!document->root_.is_object()) return bad("the answer is not a JSON object");
        return document;
    }
    explicit SecretDocument(std::size_t text_size)
        : buffer_(kBytesPerCharacter * text_size + kLeast),
          scratch_buffer_(kBytesPerCharacter * text_size + kLeast),
          stack_(kLeast),
          memory_(buffer_.writable().data(), buffer_.size()),
          scratch_(scratch_buffer_.writable().data(), scratch_buffer_.size()) {}

    const json::object& root() const { return root_.get_object(); }

  private:
    // A value takes about as much memory per character of its text at most ("[0,0,0").
    static constexpr std::size_t kBytesPerCharacter = 32;
    static constexpr std::size_t kLeast = 16 * 1024;

    SecretBytes buffer_, scratch_buffer_, stack_;
    json::monotonic_resource memory_, scratch_;
    json::value root_;
};

Result<std::string_view> text_member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_string())
        return bad("the answer has no text '" + std::string(name) + "'");
    const json::string& text = value->get_string();
    return std::string_view(text.data(), text.size());
}

Result<crypto::P256Key> key_member(const json::object& object, std::string_view name,
                                   std::string_view what) {
    TRY(const std::string_view pem, text_member(object, name));
    return crypto::P256Key::from_pkcs8_pem(pem).within(what);
}

Result<crypto::K256Key> k256_member(const json::object& object) {
    const std::string what = "Failed to parse ECDSA key";
    TRY(const std::string_view digits, text_member(object, "k256_key"));
    Secret<32> scalar;
    if (digits.size() != 2 * scalar.view().size())
        return bad(what + ": 64 hexadecimal digits were expected");
    const auto value = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    for (std::size_t i = 0; i < scalar.view().size(); ++i) {
        const int high = value(digits[2 * i]);
        const int low = value(digits[2 * i + 1]);
        if (high < 0 || low < 0) return bad(what + ": it is not hexadecimal");
        scalar.writable()[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return crypto::K256Key::from_scalar(std::move(scalar)).within(what);
}

}  // namespace

Result<TempCa> parse_temp_ca(std::string_view body) {
    TRY(const auto document, SecretDocument::parse(body));
    TRY(const std::string_view certificate, text_member(document->root(), "temp_ca_cert"));
    TRY(crypto::CertificateFacts facts,
        crypto::read_certificate(certificate).within("Failed to parse tmp CA certificate"));
    TRY(crypto::P256Key key,
        key_member(document->root(), "temp_ca_key", "Failed to parse tmp CA key"));
    TempCa ca{std::move(key), std::move(facts.subject_name), {}};
    if (const auto root = text_member(document->root(), "ca_cert"))
        if (const auto root_facts = crypto::read_certificate(*root))
            ca.root_public_key = root_facts->public_key;
    return ca;
}

Result<SourceKeys> parse_source_keys(std::string_view body) {
    TRY(const auto document, SecretDocument::parse(body));
    const json::value* list = document->root().if_contains("keys");
    if (list == nullptr || !list->is_array() || list->get_array().size() != 1 ||
        !list->get_array()[0].is_object())
        return bad("Invalid keys");
    const json::object& set = list->get_array()[0].get_object();
    TRY(crypto::P256Key ca_key, key_member(set, "ca_key", "Failed to parse CA key"));
    TRY(crypto::P256Key temp_ca_key,
        key_member(document->root(), "temp_ca_key", "Failed to parse tmp CA key"));
    TRY(crypto::K256Key k256_key, k256_member(set));
    return SourceKeys{std::move(temp_ca_key), std::move(ca_key), std::move(k256_key)};
}

}  // namespace kms
