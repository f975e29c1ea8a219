#include "kms/keys/refresh.hpp"

#include "kms/keys/bootstrap.hpp"
#include "kms/keys/profiles.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/kms_vectors.hpp"
#include "tests/support/memory_file_system.hpp"

using namespace kms::keys;
namespace crypto = kms::crypto;
using test_support::FaultyFileSystem;
using test_support::MemoryFileSystem;
using test_support::must;
using Fault = FaultyFileSystem::Fault;
using Names = std::vector<std::string>;

namespace {

constexpr std::chrono::sys_seconds kMade = std::chrono::sys_days(std::chrono::year{2026} / 11 / 23);
constexpr std::chrono::days kValidity{3650};
constexpr std::chrono::days kYear{365};

/// A directory with a set made at kMade for kms.example.
class Made {
  public:
    Made() : memory_("/k"), directory_(memory_, "/k") {
        REQUIRE(open_keys(directory_, "kms.example", kMade).has_value());
    }
    MemoryFileSystem& memory() { return memory_; }
    KeyDirectory& directory() { return directory_; }
    KeySet load() { return must(directory_.load()); }
    std::string text(const std::string& name) {
        return std::string(must(memory_.read("/k/" + name)).text());
    }
    void write(KeyFile certificate, const std::string& text) {
        REQUIRE(directory_.replace_certificate(certificate, text).has_value());
    }

  private:
    MemoryFileSystem memory_;
    KeyDirectory directory_;
};

}  // namespace

TEST_CASE("a start renews rpc.crt and leaves the CA certificates alone") {
    Made made;
    const auto before = made.memory().snapshot();
    KeySet keys = made.load();
    const std::string old_rpc = keys.certificates.rpc;
    const auto now = kMade + std::chrono::days(100);
    CHECK(must(refresh_certificates(made.directory(), keys, "", {}, now)) == Names{"rpc.crt"});
    CHECK(keys.certificates.rpc != old_rpc);
    CHECK(made.text("rpc.crt") == keys.certificates.rpc);
    auto after = made.memory().snapshot();
    after["/k/rpc.crt"] = before.at("/k/rpc.crt");
    CHECK(after == before);

    const crypto::CertificateFacts facts = must(crypto::read_certificate(keys.certificates.rpc));
    CHECK(facts.not_after == now + kValidity);
    CHECK(facts.public_key == keys.rpc_key.public_point());
    CHECK(facts.subject_name == crypto::encode_name({{}, "kms.example"}));
    CHECK(must(made.directory().load()).certificates.rpc == keys.certificates.rpc);
}

TEST_CASE("the configured domain comes before that of rpc-domain") {
    Made made;
    KeySet keys = made.load();
    REQUIRE(refresh_certificates(made.directory(), keys, "new.example", {}, kMade).has_value());
    CHECK(must(crypto::read_certificate(keys.certificates.rpc)).subject_name ==
          crypto::encode_name({{}, "new.example"}));
    CHECK(made.text("rpc-domain") == "kms.example");
}

TEST_CASE("an attestation goes into rpc.crt") {
    Made made;
    KeySet keys = made.load();
    crypto::AttestationExtension attestation;
    attestation.tdx_quote = Bytes(4000, 0xab);
    REQUIRE(refresh_certificates(made.directory(), keys, "", attestation, kMade).has_value());
    CHECK(keys.certificates.rpc.size() > 5000);
}

TEST_CASE("a CA certificate is renewed when it ends within a year") {
    struct Row {
        std::chrono::seconds before_end;
        Names changed;
    };
    const auto row = GENERATE(values<Row>({
        {kYear + std::chrono::seconds(1), {"rpc.crt"}},
        {kYear, {"rpc.crt"}},
        {kYear - std::chrono::seconds(1), {"tmp-ca.crt", "root-ca.crt", "rpc.crt"}},
        {std::chrono::seconds(0), {"tmp-ca.crt", "root-ca.crt", "rpc.crt"}},
        {-kYear, {"tmp-ca.crt", "root-ca.crt", "rpc.crt"}},
    }));
    Made made;
    KeySet keys = made.load();
    const auto now = kMade + kValidity - row.before_end;
    CHECK(must(refresh_certificates(made.directory(), keys, "", {}, now)) == row.changed);
    const KeySet loaded = made.load();
    CHECK(loaded.certificates.root_ca == keys.certificates.root_ca);
    CHECK(loaded.certificates.temp_ca == keys.certificates.temp_ca);
    CHECK(loaded.root.ca_public_key() == keys.root.ca_public_key());
    if (row.changed.size() > 1)
        CHECK(must(crypto::read_certificate(loaded.certificates.root_ca)).not_after ==
              now + kValidity);
}

TEST_CASE("a CA certificate with another name than the issued certificates give is renewed") {
    Made made;
    const KeySet before = made.load();
    crypto::CertificateProfile profile = root_ca_profile(before.root.ca_public_key());
    profile.subject.common_name = "Another CA";
    made.write(KeyFile::root_ca_certificate, must(before.root.certify(profile, kMade)));
    KeySet keys = made.load();
    CHECK(must(refresh_certificates(made.directory(), keys, "", {}, kMade)) ==
          Names{"root-ca.crt", "rpc.crt"});
    CHECK(must(crypto::read_certificate(keys.certificates.root_ca)).subject_name ==
          crypto::encode_name(root_ca_subject()));
}

TEST_CASE("a broken rpc.crt is repaired") {
    Made made;
    made.write(KeyFile::rpc_certificate, "garbage");
    KeySet keys = made.load();
    REQUIRE(keys.rpc_certificate_problem.has_value());
    REQUIRE(refresh_certificates(made.directory(), keys, "", {}, kMade).has_value());
    CHECK_FALSE(keys.rpc_certificate_problem.has_value());
    CHECK_FALSE(made.load().rpc_certificate_problem.has_value());
}

TEST_CASE("without a domain rpc.crt stays as it is") {
    Made made;
    REQUIRE(made.memory().remove_file("/k/rpc-domain").has_value());
    const auto before = made.memory().snapshot();
    KeySet keys = made.load();
    const auto refreshed = refresh_certificates(made.directory(), keys, "", {}, kMade);
    REQUIRE_FALSE(refreshed.has_value());
    CHECK(refreshed.error().code == ErrorCode::not_found);
    CHECK_THAT(refreshed.error().context, Catch::Contains("'/k/rpc-domain'"));
    CHECK(made.memory().snapshot() == before);
}

TEST_CASE(
    "a refresh that fails or is stopped at any step leaves whole certificates that belong to the "
    "keys") {
    struct Stopped {};
    const Fault fault =
        GENERATE(Fault::fail, Fault::disk_full, Fault::stop_before, Fault::stop_amid);
    // All three certificates are due.
    const auto now = kMade + kValidity - std::chrono::days(1);
    int step = 0;
    for (bool reached = true; reached; ++step) {
        INFO("step " << step);
        Made made;
        KeySet keys = made.load();
        const Certificates before = keys.certificates;
        FaultyFileSystem faulty(made.memory(), fault, step, [] { throw Stopped{}; });
        KeyDirectory directory(faulty, "/k");
        try {
            const auto refreshed = refresh_certificates(directory, keys, "", {}, now);
            CHECK((keys.certificates.rpc == before.rpc) == !refreshed.has_value());
            CHECK((keys.certificates.root_ca == before.root_ca) == !refreshed.has_value());
        } catch (const Stopped&) {
        }
        reached = faulty.steps() > step;
        KeySet next = made.load();
        CHECK_FALSE(next.rpc_certificate_problem.has_value());
        CHECK_FALSE(must(refresh_certificates(made.directory(), next, "", {}, now)).empty());
        for (const auto& [path, content] : made.memory().snapshot())
            CHECK_FALSE(path.ends_with(".new"));
    }
    CHECK(step > 10);
}
