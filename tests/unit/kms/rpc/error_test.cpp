#include "kms/rpc/encode.hpp"
#include "kms/rpc/kms.pb.h"
#include "kms/rpc/rpc_error.hpp"

#include <catch2/catch.hpp>

using namespace kms;

TEST_CASE("an error shows its causes") {
    CHECK(RpcError("A").text() == "A");
    CHECK(RpcError("No attestation provided").within("App not allowed").text() ==
          "App not allowed\n\nCaused by:\n    No attestation provided");
    CHECK(RpcError("A", {"B", "C"}).text() == "A\n\nCaused by:\n    0: B\n    1: C");
    CHECK(RpcError("A", {"B\nb\n"}).text() == "A\n\nCaused by:\n    B\n    b\n    ");
    CHECK(RpcError("A", {"B\nb", "C"}).text() == "A\n\nCaused by:\n    0: B\n       b\n    1: C");
}

TEST_CASE("errors in both encodings") {
    CHECK(encode_error(Format::json, RpcError("say \"no\"\\\n\x01/é")) ==
          "{\n  \"error\": \"say \\\"no\\\"\\\\\\n\\u0001/é\"\n}");
    CHECK(encode_error(Format::protobuf, RpcError("Invalid token")) == "\x0A\x0DInvalid token");
    CHECK(encode_error(Format::json, RpcError("\xff")) == "{\n  \"error\": \"\xEF\xBF\xBD\"\n}");
}

TEST_CASE("GetMeta's members: all of them, always, in order") {
    wire::GetMetaResponse message;
    CHECK(
        encode(Format::json, message) ==
        R"({"ca_cert":"","allow_any_upgrade":false,"k256_pubkey":"","bootstrap_info":null,"is_dev":false,)"
        R"("gateway_app_id":null,"kms_contract_address":null,"chain_id":null,"app_auth_implementation":null})");
    CHECK(encode(Format::protobuf, message).empty());

    message.set_ca_cert("-\n");
    message.set_k256_pubkey("\x02\xff");
    message.mutable_bootstrap_info();
    message.set_gateway_app_id("");
    message.set_kms_contract_address("0x1");
    message.set_chain_id(18446744073709551615U);
    message.set_app_auth_implementation("");
    CHECK(
        encode(Format::json, message) ==
        R"({"ca_cert":"-\n","allow_any_upgrade":false,"k256_pubkey":"02ff","bootstrap_info":{"ca_pubkey":"","k256_pubkey":"",)"
        R"("attestation":""},"is_dev":false,"gateway_app_id":"","kms_contract_address":"0x1",)"
        R"("chain_id":18446744073709551615,"app_auth_implementation":""})");
    // Optional members that are set are written even when they are empty.
    CHECK(encode(Format::protobuf, message) ==
          std::string("\x0A\x02-\n\x1A\x02\x02\xff\x22\x00\x32\x00\x3A\x03"
                      "0x1\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x4A\x00",
                      30));
}

TEST_CASE("the other answers") {
    wire::PublicKeyResponse key;
    key.set_public_key("\x01");
    key.set_timestamp(1700000000);
    CHECK(encode(Format::json, key) ==
          R"({"public_key":"01","signature":"","timestamp":1700000000,"signature_v1":""})");
    wire::GetTempCaCertResponse certificate;
    certificate.set_temp_ca_cert("a");
    certificate.set_temp_ca_key("b");
    certificate.set_ca_cert("c");
    CHECK(encode(Format::json, certificate) ==
          R"({"temp_ca_cert":"a","temp_ca_key":"b","ca_cert":"c"})");
    CHECK(encode(Format::protobuf, certificate) ==
          "\x0A\x01"
          "a\x12\x01"
          "b\x1A\x01"
          "c");
}
