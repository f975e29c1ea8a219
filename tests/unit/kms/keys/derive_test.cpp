#include "kms/crypto/hkdf.hpp"
#include "kms/keys/profiles.hpp"
#include "kms/keys/root_keys.hpp"
#include "tests/support/kms_vectors.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <boost/json/serialize.hpp>

using namespace kms::keys;
namespace crypto = kms::crypto;
using runtime::to_hex;
using test_support::hex;
using test_support::hex_at;
using test_support::must;
using test_support::root_keys;
using test_support::secret;
using test_support::text_at;

namespace {

RootKeys original_root() {
    const boost::json::value vectors = test_support::kms_vectors("keys_and_env_pubkeys.json");
    return root_keys(hex_at(vectors.at("keys"), "root_ca_scalar"),
                     hex_at(vectors.at("keys"), "root_k256_scalar"));
}

}  // namespace

TEST_CASE("all keys of an application follow from the root keys as computed from the rules") {
    const boost::json::value vectors = test_support::kms_vectors("kdf.json");
    const boost::json::value& row = vectors.at("synthetic_vector");
    const RootKeys root =
        root_keys(hex_at(row, "root_p256_scalar"), hex_at(row, "root_k256_scalar"));
    const runtime::Bytes app_id = hex_at(row, "app_id");
    const runtime::Bytes instance_id = hex_at(row, "instance_id");
    const AppId app{app_id};

    CHECK(to_hex(root.k256_public_key()) == text_at(row, "root_k256_pubkey"));
    CHECK(to_hex(must(root.disk_crypt_key(app, InstanceId{instance_id})).view()) ==
          text_at(row, "disk_crypt_key"));
    CHECK(to_hex(must(root.env_crypt_key(app)).view()) == text_at(row, "env_crypt_key"));
    const crypto::P256Key app_ca = must(root.app_ca_key(app));
    CHECK(to_hex(app_ca.scalar()) == text_at(row, "app_ca_p256_scalar"));
    CHECK(to_hex(app_ca.public_point()) == text_at(row, "app_ca_public_point"));
    const AppK256Key k256 = must(root.app_k256_key(app));
    CHECK(to_hex(k256.key.view()) == text_at(row, "k256_key"));
    CHECK(to_hex(k256.signature) == text_at(row, "k256_signature"));
    const auto timestamp =
        static_cast<std::uint64_t>(row.at("env_pubkey_signature_v1_timestamp").as_int64());
    const EnvPublicKey env = must(root.env_public_key(app, timestamp));
    CHECK(to_hex(env.public_key) == text_at(row, "env_public_key"));
    CHECK(to_hex(env.signature) == text_at(row, "env_pubkey_signature"));
    CHECK(to_hex(env.signature_v1) == text_at(row, "env_pubkey_signature_v1"));
}

TEST_CASE("the keys of an application of a real KMS are derived again") {
    const boost::json::value vectors = test_support::kms_vectors("kdf.json");
    const boost::json::value& row = vectors.at("real_kms_vector");
    // That KMS's secp256k1 key is not known; it plays no part in these.
    const RootKeys root = root_keys(hex_at(row, "root_p256_scalar"), runtime::Bytes(32, 1));
    const runtime::Bytes app_id = hex_at(row, "app_id");
    const runtime::Bytes instance_id = hex_at(row, "instance_id");
    CHECK(to_hex(must(root.disk_crypt_key(AppId{app_id}, InstanceId{instance_id})).view()) ==
          text_at(row, "disk_crypt_key"));
    CHECK(to_hex(must(root.env_crypt_key(AppId{app_id})).view()) == text_at(row, "env_crypt_key"));
    CHECK(to_hex(must(root.env_public_key(AppId{app_id}, 0)).public_key) ==
          text_at(row, "env_public_key"));
    CHECK(to_hex(must(root.app_ca_key(AppId{app_id})).scalar()) ==
          text_at(row, "app_ca_p256_scalar"));
}

TEST_CASE("keys and signatures for 34 app ids are the bytes that the original gives") {
    const boost::json::value vectors = test_support::kms_vectors("keys_and_env_pubkeys.json");
    const RootKeys root = original_root();
    CHECK(to_hex(root.k256_public_key()) ==
          text_at(vectors.at("keys"), "root_k256_pubkey_compressed"));
    int with_timestamp = 0;
    for (const boost::json::value& row : vectors.at("vectors").as_array()) {
        const runtime::Bytes app_id = hex_at(row, "app_id");
        const AppId app{app_id};
        INFO("app id " << text_at(row, "app_id"));
        const boost::json::value& derived = row.at("derived");
        CHECK(to_hex(must(root.env_crypt_key(app)).view()) == text_at(derived, "env_crypt_key"));
        CHECK(to_hex(must(root.app_ca_key(app)).scalar()) ==
              text_at(derived, "app_ca_private_scalar"));
        const AppK256Key k256 = must(root.app_k256_key(app));
        CHECK(to_hex(k256.key.view()) == text_at(derived, "k256_key"));
        CHECK(to_hex(k256.signature) == text_at(derived, "k256_signature"));
        CHECK(to_hex(must(crypto::K256Key::from_scalar(k256.key.clone())).public_key()) ==
              text_at(derived, "app_k256_pubkey"));

        const boost::json::value* version_n = row.as_object().if_contains("version_N");
        const std::uint64_t timestamp =
            version_n == nullptr ? 0 : version_n->at("timestamp").to_number<std::uint64_t>();
        const EnvPublicKey env = must(root.env_public_key(app, timestamp));
        CHECK(to_hex(env.public_key) == text_at(row, "public_key"));
        CHECK(to_hex(env.signature) == text_at(row, "signature"));
        if (version_n != nullptr) {
            CHECK(to_hex(env.signature_v1) == text_at(*version_n, "signature_v1"));
            ++with_timestamp;
        }
    }
    CHECK(with_timestamp > 20);
}

TEST_CASE("what is remembered of an application's environment key is what would be computed") {
    const RootKeys root = original_root();
    const runtime::Bytes long_id(Recent<int>::kIdentitySize + 1, 0x33);
    const std::vector<runtime::Bytes> app_ids = {{}, hex("01"), hex("0100"), hex("02"), long_id};
    std::vector<EnvPublicKey> first;
    for (const runtime::Bytes& app_id : app_ids)
        first.push_back(must(root.env_public_key(AppId{app_id}, 7)));
    for (std::size_t i = 0; i < app_ids.size(); ++i) {
        const EnvPublicKey again = must(root.env_public_key(AppId{app_ids[i]}, 8));
        CHECK(again.public_key == first[i].public_key);
        CHECK(again.signature == first[i].signature);
        CHECK(again.signature_v1 != first[i].signature_v1);
        const EnvPublicKey computed = must(original_root().env_public_key(AppId{app_ids[i]}, 8));
        CHECK(again.public_key == computed.public_key);
        CHECK(again.signature == computed.signature);
        CHECK(again.signature_v1 == computed.signature_v1);
    }
}

TEST_CASE("recent values are found by their identity and bounded in number and size") {
    Recent<int> recent;
    CHECK_FALSE(recent.find(hex("01")).has_value());
    recent.keep(hex("01"), 1);
    recent.keep(hex("0100"), 2);
    recent.keep({}, 3);
    CHECK(recent.find(hex("01")) == 1);
    CHECK(recent.find(hex("0100")) == 2);
    CHECK(recent.find({}) == 3);
    recent.keep(hex("01"), 4);
    CHECK(recent.find(hex("01")) == 4);
    CHECK(recent.size() == 3);

    const runtime::Bytes longest(Recent<int>::kIdentitySize, 0x22);
    const runtime::Bytes too_long(Recent<int>::kIdentitySize + 1, 0x22);
    recent.keep(longest, 5);
    recent.keep(too_long, 6);
    CHECK(recent.find(longest) == 5);
    CHECK_FALSE(recent.find(too_long).has_value());

    std::size_t most = 0;
    for (std::size_t i = 0; i < 3 * Recent<int>::kValues; ++i) {
        const std::string identity = "app " + std::to_string(i);
        recent.keep(runtime::as_bytes(identity), static_cast<int>(i));
        CHECK(recent.find(runtime::as_bytes(identity)) == static_cast<int>(i));
        most = std::max(most, recent.size());
    }
    CHECK(most == Recent<int>::kValues);
}

TEST_CASE("disk keys are those that the original released to attested guests") {
    const auto text = test_support::shared_kms_text("peer/attested_E.json");
    if (!text.has_value()) return;
    const RootKeys root = original_root();
    int compared = 0;
    const boost::json::value recorded = boost::json::parse(*text);
    for (const boost::json::value& row : recorded.at("cases").as_array()) {
        const auto released =
            boost::json::serialize(row).find("disk_crypt_key") != std::string::npos;
        const auto* asked = row.as_object().if_contains("webhook_requests");
        const auto* body = row.at("response").at("body").as_object().if_contains("text");
        if (!released || body == nullptr || asked == nullptr || asked->as_array().empty()) continue;
        INFO(text_at(row, "name"));
        const boost::json::value boot_info = boost::json::parse(text_at(asked->at(0), "body"));
        const boost::json::value answer = boost::json::parse(body->as_string());
        const runtime::Bytes app_id = hex_at(boot_info, "appId");
        const runtime::Bytes instance_id = hex_at(boot_info, "instanceId");
        CHECK(to_hex(must(root.disk_crypt_key(AppId{app_id}, InstanceId{instance_id})).view()) ==
              text_at(answer, "disk_crypt_key"));
        ++compared;
    }
    CHECK(compared >= 40);
}

TEST_CASE("app id and instance id are joined without a boundary") {
    const RootKeys root = original_root();
    const runtime::Bytes ab = hex("0102");
    const runtime::Bytes c = hex("03");
    const runtime::Bytes a = hex("01");
    const runtime::Bytes bc = hex("0203");
    CHECK(to_hex(must(root.disk_crypt_key(AppId{ab}, InstanceId{c})).view()) ==
          to_hex(must(root.disk_crypt_key(AppId{a}, InstanceId{bc})).view()));
}

TEST_CASE("the root keys are handed over in the form of the key files") {
    const boost::json::value vectors = test_support::kms_vectors("keys_and_env_pubkeys.json");
    const RootKeys::HandOver keys = original_root().hand_over();
    CHECK(keys.ca_key_pem.text() == text_at(vectors.at("keys"), "root_ca_key_pem"));
    CHECK(to_hex(keys.k256_key.view()) == text_at(vectors.at("keys"), "root_k256_scalar"));
}

TEST_CASE("an App CA certificate is issued by the root") {
    const RootKeys root = original_root();
    const runtime::Bytes app_id(20, 0x22);
    const crypto::P256Key key = must(root.app_ca_key(AppId{app_id}));
    const std::string pem = must(root.certify(app_ca_profile(key.public_point(), AppId{app_id}),
                                              WallTime(std::chrono::hours(24 * 20000))));
    const crypto::CertificateFacts facts = must(crypto::read_certificate(pem));
    CHECK(facts.public_key == key.public_point());
    CHECK(facts.subject_name == crypto::encode_name({"Dstack", "Dstack App CA"}));
}
