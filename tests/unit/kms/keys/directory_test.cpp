#include "kms/keys/bootstrap.hpp"
#include "kms/keys/key_directory.hpp"
#include "tests/support/kms_vectors.hpp"
#include "tests/support/memory_file_system.hpp"
#include "tests/support/temporary_directory.hpp"

#include <sys/stat.h>

using namespace kms::keys;
using test_support::MemoryFileSystem;
using test_support::must;
using test_support::original_key_files;
using test_support::TemporaryDirectory;

namespace {

constexpr WallTime kNow = WallTime(std::chrono::hours(24 * 20800));

/// Puts a file there as an operator would.
void put(FileSystem& files, const std::string& path, ByteView content) {
    const auto file = must(files.create(path, FileSystem::Access::owner_only));
    REQUIRE(file->write(content).has_value());
    REQUIRE(file->sync().has_value());
}

/// Puts the original's file of this kind there.
void put_original(FileSystem& files, const std::string& directory, KeyFile file) {
    const KeyFiles originals = original_key_files();
    put(files, directory + "/" + std::string(file_name(file)), originals[file]->view());
}

void put_originals(FileSystem& files, const std::string& directory) {
    for (const KeyFile file : kKeyFiles)
        if (file != KeyFile::bootstrap_info) put_original(files, directory, file);
}

unsigned mode_of(const std::string& path) {
    struct stat facts{};
    REQUIRE(::lstat(path.c_str(), &facts) == 0);
    return facts.st_mode & 0777U;
}

}  // namespace

TEST_CASE("a key directory of the original is loaded unchanged") {
    MemoryFileSystem files("/k");
    put_originals(files, "/k");
    const auto before = files.snapshot();
    KeyDirectory directory(files, "/k");
    CHECK(must(directory.inspect()).state == DirectoryState::complete);
    const OpenedKeys opened = must(open_keys(directory, "", kNow));
    CHECK(opened.origin == KeyOrigin::loaded);
    CHECK(opened.keys.domain == "kms.peer.test");
    CHECK(files.snapshot() == before);
}

TEST_CASE("seven files are enough for a key set") {
    MemoryFileSystem files("/k");
    for (const KeyFile file : kKeyFiles)
        if (is_required(file)) put_original(files, "/k", file);
    KeyDirectory directory(files, "/k");
    CHECK_FALSE(must(open_keys(directory, "", kNow)).keys.domain.has_value());
}

TEST_CASE("an automatic bootstrap makes the directory and the documented files with their modes") {
    const TemporaryDirectory scratch;
    PosixFileSystem files;
    const std::string path = scratch / "a/b/certs";
    KeyDirectory directory(files, path + "//");
    CHECK(must(directory.inspect()).state == DirectoryState::empty);
    const OpenedKeys opened = must(open_keys(directory, "kms.example", kNow));
    CHECK(opened.origin == KeyOrigin::created);
    CHECK(opened.keys.domain == "kms.example");
    CHECK(must(files.list(path)) ==
          std::vector<std::string>{"root-ca.crt", "root-ca.key", "root-k256.key", "rpc-domain",
                                   "rpc.crt", "rpc.key", "tmp-ca.crt", "tmp-ca.key"});
    for (const char* name : {"root-ca.key", "root-k256.key", "rpc.key", "tmp-ca.key"})
        CHECK(mode_of(path + "/" + name) == 0600);
    for (const char* name : {"root-ca.crt", "rpc.crt", "tmp-ca.crt", "rpc-domain"})
        CHECK((mode_of(path + "/" + name) & 0600) == 0600);

    KeyDirectory again(files, path);
    const OpenedKeys second = must(open_keys(again, "another.example", kNow));
    CHECK(second.origin == KeyOrigin::loaded);
    CHECK(second.keys.root.ca_public_key() == opened.keys.root.ca_public_key());
    CHECK(second.keys.root.k256_public_key() == opened.keys.root.k256_public_key());
    CHECK(second.keys.domain == "kms.example");
}

TEST_CASE("without keys and without a domain nothing is made") {
    MemoryFileSystem files("/k");
    KeyDirectory directory(files, "/k");
    const auto opened = open_keys(directory, "", kNow);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == ErrorCode::not_found);
    CHECK_THAT(opened.error().context,
               Catch::Contains("'/k'") && Catch::Contains("auto_bootstrap_domain"));
    CHECK(files.snapshot().size() == 1);
}

TEST_CASE("every part of a key set is refused, named, and left as it is") {
    constexpr unsigned kAll = (1U << kRequiredKeyFileCount) - 1;
    for (unsigned subset = 1; subset < kAll; ++subset) {
        INFO("subset " << subset);
        MemoryFileSystem files("/k");
        for (const KeyFile file : kKeyFiles)
            if (is_required(file) && (subset >> static_cast<unsigned>(file) & 1U) != 0)
                put_original(files, "/k", file);
        const auto before = files.snapshot();
        KeyDirectory directory(files, "/k");
        CHECK(must(directory.inspect()).state == DirectoryState::partial);
        const auto opened = open_keys(directory, "kms.example", kNow);
        REQUIRE_FALSE(opened.has_value());
        CHECK(opened.error().code == ErrorCode::invalid_argument);
        const std::string& sentence = opened.error().context;
        const std::size_t boundary = sentence.find(" are there, but ");
        REQUIRE(boundary != std::string::npos);
        for (const KeyFile file : kKeyFiles) {
            const std::size_t at = sentence.find("'" + std::string(file_name(file)) + "'");
            if (!is_required(file)) continue;
            REQUIRE(at != std::string::npos);
            CHECK((at < boundary) == ((subset >> static_cast<unsigned>(file) & 1U) != 0));
        }
        CHECK_THAT(sentence, Catch::Contains("Restore the missing files from a backup"));
        CHECK_FALSE(directory.store(original_key_files()).has_value());
        CHECK_FALSE(directory.load().has_value());
        CHECK(files.snapshot() == before);
    }
}

TEST_CASE("the note of an earlier bootstrap is refused when its keys are gone") {
    MemoryFileSystem files("/k");
    put(files, "/k/bootstrap-info.json", runtime::as_bytes("{}"));
    KeyDirectory directory(files, "/k");
    const auto opened = open_keys(directory, "kms.example", kNow);
    REQUIRE_FALSE(opened.has_value());
    CHECK_THAT(opened.error().context, Catch::Contains("'bootstrap-info.json'"));
}

TEST_CASE("files that are not keys do not stand in the way of a bootstrap") {
    MemoryFileSystem files("/k");
    put(files, "/k/rpc-domain", runtime::as_bytes("old.example"));
    put(files, "/k/README", runtime::as_bytes("hello"));
    put(files, "/k/tmp-ca.tmp", runtime::as_bytes("half"));
    KeyDirectory directory(files, "/k");
    const OpenedKeys opened = must(open_keys(directory, "kms.example", kNow));
    CHECK(opened.origin == KeyOrigin::created);
    CHECK(opened.keys.domain == "kms.example");
    CHECK(files.snapshot().contains("/k/README"));
}

TEST_CASE("a key set is never stored over another") {
    MemoryFileSystem files("/k");
    put_originals(files, "/k");
    const auto before = files.snapshot();
    KeyDirectory directory(files, "/k");
    const auto stored = directory.store(original_key_files());
    REQUIRE_FALSE(stored.has_value());
    CHECK_THAT(stored.error().context, Catch::Contains("never replaced"));
    CHECK(files.snapshot() == before);
}

TEST_CASE("a set without one of its files is not stored") {
    MemoryFileSystem files("/k");
    KeyDirectory directory(files, "/k");
    KeyFiles incomplete = original_key_files();
    incomplete[KeyFile::root_k256_key].reset();
    CHECK_FALSE(directory.store(incomplete).has_value());
    CHECK(files.snapshot().size() == 1);
}

TEST_CASE("two processes do not write to one directory") {
    const TemporaryDirectory scratch;
    PosixFileSystem files;
    const auto lock = must(files.lock(scratch.path().string()));
    KeyDirectory directory(files, scratch.path().string());
    const auto opened = open_keys(directory, "kms.example", kNow);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == ErrorCode::unavailable);
    CHECK_THAT(opened.error().context, Catch::Contains("another process"));
    CHECK(must(files.list(scratch.path().string())).empty());
}

TEST_CASE("a file that cannot be read is told with its path, the reason and what to do") {
    MemoryFileSystem files("/k");
    put_originals(files, "/k");
    files.make_unreadable("/k/root-ca.key");
    KeyDirectory directory(files, "/k");
    const auto keys = directory.load();
    REQUIRE_FALSE(keys.has_value());
    CHECK(keys.error().code == ErrorCode::unavailable);
    CHECK_THAT(keys.error().context, Catch::Contains("'/k/root-ca.key'") &&
                                         Catch::Contains("Permission denied") &&
                                         Catch::Contains("must be able to read this file"));
}

TEST_CASE("what is no regular file is refused and never waited for") {
    const TemporaryDirectory scratch;
    PosixFileSystem files;
    put_originals(files, scratch.path().string());
    const std::string path = scratch / "root-ca.key";
    std::filesystem::remove(path);
    std::string reason = "not a regular file";
    SECTION("a pipe without a writer") {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    }
    SECTION("a directory") {
        std::filesystem::create_directory(path);
    }
    SECTION("a link to nowhere") {
        std::filesystem::create_symlink("nowhere", path);
        reason = "No such file or directory";
    }
    SECTION("far too large") {
        put(files, path, Bytes(1024 * 1024 + 1));
        reason = "larger than 1 MiB";
    }
    KeyDirectory directory(files, scratch.path().string());
    const auto opened = open_keys(directory, "kms.example", kNow);
    REQUIRE_FALSE(opened.has_value());
    CHECK_THAT(opened.error().context, Catch::Contains(path) && Catch::Contains(reason));
}

TEST_CASE("key files may be links, as mounted secrets are") {
    const TemporaryDirectory scratch;
    PosixFileSystem files;
    std::filesystem::create_directory(scratch / "real");
    put_originals(files, scratch / "real");
    std::filesystem::create_directory(scratch / "certs");
    for (const std::string& name : must(files.list(scratch / "real")))
        std::filesystem::create_symlink("../real/" + name, scratch / ("certs/" + name));
    KeyDirectory directory(files, scratch / "certs");
    CHECK(must(open_keys(directory, "", kNow)).origin == KeyOrigin::loaded);
}

TEST_CASE("a path that is no directory gets one sentence") {
    const TemporaryDirectory scratch;
    PosixFileSystem files;
    put(files, scratch / "file", runtime::as_bytes("x"));
    KeyDirectory directory(files, scratch / "file");
    const auto opened = open_keys(directory, "kms.example", kNow);
    REQUIRE_FALSE(opened.has_value());
    CHECK_THAT(opened.error().context,
               Catch::Contains(scratch / "file") && Catch::Contains("Not a directory"));
}

TEST_CASE("damage names the directory, too") {
    MemoryFileSystem files("/k");
    for (const KeyFile file : kKeyFiles)
        if (is_required(file) && file != KeyFile::root_k256_key) put_original(files, "/k", file);
    put(files, "/k/root-k256.key", Bytes(31, 1));
    KeyDirectory directory(files, "/k");
    const auto keys = directory.load();
    REQUIRE_FALSE(keys.has_value());
    CHECK(keys.error().context ==
          "cannot load the keys in '/k': 'root-k256.key' cannot be used: it has 31 bytes, and a "
          "key has exactly 32; "
          "restore this file from a backup");
}

TEST_CASE("the text of bootstrap-info.json is given as it is") {
    MemoryFileSystem files("/k");
    KeyDirectory directory(files, "/k");
    const auto missing = directory.bootstrap_info();
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code == ErrorCode::not_found);
    put(files, "/k/bootstrap-info.json", runtime::as_bytes("{\"a\":1}"));
    CHECK(must(directory.bootstrap_info()) == "{\"a\":1}");
}

TEST_CASE("keys are not replaced, only certificates") {
    MemoryFileSystem files("/k");
    put_originals(files, "/k");
    const auto before = files.snapshot();
    KeyDirectory directory(files, "/k");
    for (const KeyFile file : kKeyFiles) {
        const bool certificate = file == KeyFile::temp_ca_certificate ||
                                 file == KeyFile::root_ca_certificate ||
                                 file == KeyFile::rpc_certificate;
        if (certificate) continue;
        const auto replaced = directory.replace_certificate(file, "x");
        REQUIRE_FALSE(replaced.has_value());
        CHECK(replaced.error().code == ErrorCode::invalid_argument);
    }
    CHECK(files.snapshot() == before);
    REQUIRE(directory.replace_certificate(KeyFile::rpc_certificate, "new").has_value());
    auto after = before;
    after["/k/rpc.crt"] = Bytes{'n', 'e', 'w'};
    CHECK(files.snapshot() == after);
}

TEST_CASE("the real file system replaces only when it is told to") {
    const TemporaryDirectory scratch;
    PosixFileSystem files;
    put(files, scratch / "a", runtime::as_bytes("a"));
    put(files, scratch / "b", runtime::as_bytes("b"));
    CHECK_FALSE(files.create(scratch / "a", FileSystem::Access::owner_only).has_value());
    const auto refused = files.rename_new(scratch / "a", scratch / "b");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::unavailable);
    CHECK(must(files.read(scratch / "b")).text() == "b");
    REQUIRE(files.rename_new(scratch / "a", scratch / "c").has_value());
    REQUIRE(files.rename(scratch / "c", scratch / "b").has_value());
    CHECK(must(files.read(scratch / "b")).text() == "a");
    CHECK(must(files.list(scratch.path().string())) == std::vector<std::string>{"b"});
    CHECK_FALSE(files.make_directory(scratch / "b", FileSystem::Access::owner_only).has_value());
    CHECK(files.read(scratch / "gone").error().code == ErrorCode::not_found);
}
