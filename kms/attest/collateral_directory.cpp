#include "kms/attest/collateral_directory.hpp"

#include "kms/crypto/sha256.hpp"
#include "kms/evidence/json_reader.hpp"

#include <algorithm>
#include <cctype>

namespace kms {
namespace {

using runtime::FileSystem;

constexpr std::string_view kEnd = ".json";
constexpr std::string_view kUnfinished = ".new";

struct Origin {
    std::string source;
    UnixSeconds fetched_at = 0;
};

/// The two members in front of the collateral's own.
Result<Origin> parse_origin(std::string_view json) {
    static constexpr std::string_view kNames[] = {"source", "fetched_at"};
    Origin origin;
    JsonReader reader(json);
    TRY_VOID(read_members(reader, kNames, first_members(2), [&](std::size_t i) -> Result<void> {
        if (i == 0) {
            TRY(origin.source, reader.text());
        } else {
            TRY(const std::uint64_t time, reader.unsigned_integer(1ULL << 40U));
            origin.fetched_at = static_cast<UnixSeconds>(time);
        }
        return {};
    }));
    TRY_VOID(reader.finish());
    return origin;
}

std::string text_of(const StoredCollateral& stored, const std::string& source) {
    return "{\"source\":\"" + source + "\",\"fetched_at\":" + std::to_string(stored.fetched_at) +
           "," + to_json(stored.collateral).substr(1) + "\n";
}

}  // namespace

std::string file_name(const CollateralQuery& query) {
    std::string fmspc = runtime::to_hex(query.fmspc);
    std::ranges::transform(fmspc, fmspc.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return (query.tee == TeeType::sgx ? "sgx-" : "tdx-") + fmspc +
           (query.processor_ca ? "-processor" : "-platform") + std::string(kEnd);
}

std::optional<CollateralQuery> query_of_file_name(std::string_view name) {
    if (name.size() < 16) return std::nullopt;
    CollateralQuery query;
    query.tee = name.starts_with("sgx-") ? TeeType::sgx : TeeType::tdx;
    query.processor_ca = name.ends_with("-processor.json");
    const auto fmspc = runtime::from_hex(name.substr(4, 2 * query.fmspc.size()));
    if (!fmspc || fmspc->size() != query.fmspc.size()) return std::nullopt;
    std::ranges::copy(*fmspc, query.fmspc.begin());
    if (file_name(query) != name) return std::nullopt;
    return query;
}

CollateralDirectory::CollateralDirectory(std::unique_ptr<FileSystem> files, std::string path,
                                         std::string_view source)
    : files_(std::move(files)),
      path_(std::move(path)),
      source_(runtime::to_hex(crypto::sha256({runtime::as_bytes(source)}))) {}

Result<std::vector<CollateralQuery>> CollateralDirectory::list() {
    std::vector<CollateralQuery> found;
    auto names = files_->list(path_);
    if (!names) {
        if (names.error().code == ErrorCode::not_found) return found;
        return std::move(names.error());
    }
    for (const std::string& name : *names) {
        if (const auto query = query_of_file_name(name)) {
            found.push_back(*query);
        } else if (name.ends_with(kUnfinished) &&
                   query_of_file_name(name.substr(0, name.size() - kUnfinished.size()))) {
            TRY_VOID(files_->remove_file(path_of(name)));
        }
    }
    return found;
}

Result<StoredCollateral> CollateralDirectory::load(const CollateralQuery& query) {
    const std::string path = path_of(file_name(query));
    TRY(const runtime::SecretBytes content, files_->read(path));
    const std::string_view text = content.text();
    TRY(const Origin origin, parse_origin(text).within("'" + path + "'"));
    if (origin.source != source_)
        return Error{ErrorCode::invalid_argument,
                     "'" + path + "' was fetched from another server than the configured one"};
    StoredCollateral stored{query, origin.fetched_at, {}};
    TRY(stored.collateral, parse_collateral(text).within("'" + path + "'"));
    return stored;
}

Result<void> CollateralDirectory::store(const StoredCollateral& stored) {
    const std::string path = path_of(file_name(stored.query));
    const std::string unfinished = path + std::string(kUnfinished);
    if (const auto names = files_->list(path_); !names) {
        if (names.error().code != ErrorCode::not_found) return names.error();
        auto made = files_->make_directory(path_, FileSystem::Access::world_readable);
        // Another kind's first file may have been faster.
        if (!made && !files_->list(path_)) return made;
    } else if (std::ranges::find(*names, file_name(stored.query) + std::string(kUnfinished)) !=
               names->end()) {
        TRY_VOID(files_->remove_file(unfinished));
    }
    {
        TRY(const auto file, files_->create(unfinished, FileSystem::Access::world_readable));
        TRY_VOID(file->write(runtime::as_bytes(text_of(stored, source_))));
        TRY_VOID(file->sync());
    }
    TRY_VOID(files_->rename(unfinished, path));
    return files_->sync_directory(path_);
}

Result<void> CollateralDirectory::remove(const CollateralQuery& query) {
    TRY_VOID(files_->remove_file(path_of(file_name(query))));
    return files_->sync_directory(path_);
}

}  // namespace kms
