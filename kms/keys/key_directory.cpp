#include "kms/keys/key_directory.hpp"

#include <algorithm>
#include <filesystem>

namespace kms::keys {
namespace {

constexpr std::string_view kNew = ".key-set.new";
constexpr std::string_view kCommitted = ".key-set.committed";

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

/// "'a', 'b' and 'c'".
std::string enumerate(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
        text += "'" + names[i] + "'";
    }
    return text;
}

FileSystem::Access access_of(KeyFile file) {
    return is_secret(file) ? FileSystem::Access::owner_only : FileSystem::Access::world_readable;
}

Error refused(std::string text) {
    return Error{ErrorCode::invalid_argument, std::move(text)};
}

}  // namespace

KeyDirectory::KeyDirectory(FileSystem& files, std::string path)
    : files_(files), path_(std::move(path)) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
}

std::string KeyDirectory::path_of(std::string_view name) const {
    return path_ + "/" + std::string(name);
}

/// A directory that does not exist has no names in it.
Result<std::vector<std::string>> KeyDirectory::names_in(const std::string& directory) const {
    Result<std::vector<std::string>> names = files_.list(directory);
    if (!names.has_value() && names.error().code == ErrorCode::not_found)
        return std::vector<std::string>{};
    return names;
}

Result<DirectoryReport> KeyDirectory::inspect() const {
    TRY(const std::vector<std::string> flat, names_in(path_));
    const bool committed = contains(flat, kCommitted);
    std::vector<std::string> waiting;
    if (committed) {
        TRY(waiting, names_in(path_of(kCommitted)));
    }
    std::vector<std::string> present;
    std::vector<std::string> missing;
    for (const KeyFile file : kKeyFiles) {
        if (!is_required(file)) continue;
        const std::string name(file_name(file));
        (contains(flat, name) || contains(waiting, name) ? present : missing).push_back(name);
    }

    if (missing.empty())
        return DirectoryReport{committed ? DirectoryState::interrupted : DirectoryState::complete,
                               {}};
    const std::string advice =
        " New keys are never made beside old ones. Restore the missing files from a backup; or, if "
        "nothing was ever "
        "encrypted or signed with these keys, move everything out of the directory and start "
        "again.";
    if (committed)
        return DirectoryReport{
            DirectoryState::partial,
            "'" + path_ + "' holds a key set whose bootstrap was interrupted, and of its files " +
                enumerate(missing) + " have been removed since." + advice};
    if (!present.empty())
        return DirectoryReport{DirectoryState::partial,
                               "'" + path_ + "' holds a part of a key set: " + enumerate(present) +
                                   " are there, but " + enumerate(missing) + " are missing." +
                                   advice};
    if (contains(flat, file_name(KeyFile::bootstrap_info)))
        return DirectoryReport{DirectoryState::partial,
                               "'" + path_ + "' holds '" +
                                   std::string(file_name(KeyFile::bootstrap_info)) +
                                   "' of an earlier bootstrap, but no key." + advice};
    return DirectoryReport{DirectoryState::empty, {}};
}

Result<void> KeyDirectory::store(const KeyFiles& new_set) {
    for (const KeyFile file : kKeyFiles)
        if (is_required(file) && !new_set[file].has_value())
            return Error{ErrorCode::internal,
                         "a key set without '" + std::string(file_name(file)) + "'"};
    TRY_VOID(make_directories());
    TRY(const std::unique_ptr<FileSystem::Lock> lock, files_.lock(path_));
    TRY(const DirectoryReport report, inspect());
    if (report.state == DirectoryState::partial) return refused(report.problem);
    if (report.state != DirectoryState::empty)
        return refused("'" + path_ + "' already holds a key set, which is never replaced");

    if (Result<void> written = write_uncommitted(new_set); !written.has_value()) {
        // The disk may be full: give back what was taken. When this fails too, the next store()
        // does it.
        (void)forget_uncommitted();
        return std::move(written).within("no key set was stored in '" + path_ + "'");
    }
    return publish_committed();
}

Result<void> KeyDirectory::finish() {
    TRY(const std::vector<std::string> flat, names_in(path_));
    if (!contains(flat, kCommitted)) return {};
    TRY(const std::unique_ptr<FileSystem::Lock> lock, files_.lock(path_));
    TRY(const DirectoryReport report, inspect());
    if (report.state == DirectoryState::partial) return refused(report.problem);
    return publish_committed();
}

Result<KeySet> KeyDirectory::load() const {
    TRY(const DirectoryReport report, inspect());
    switch (report.state) {
        case DirectoryState::complete:
            break;
        case DirectoryState::partial:
            return refused(report.problem);
        case DirectoryState::empty:
            return Error{ErrorCode::not_found, "there are no keys in '" + path_ + "'"};
        case DirectoryState::interrupted:
            return refused("'" + path_ + "' holds a key set whose bootstrap was interrupted");
    }
    KeyFiles contents;
    for (const KeyFile file : kKeyFiles) {
        if (file == KeyFile::bootstrap_info) continue;
        Result<SecretBytes> content = files_.read(path_of(file_name(file)));
        if (content.has_value())
            contents[file] = std::move(*content);
        else if (is_required(file) || content.error().code != ErrorCode::not_found)
            return Error{ErrorCode::unavailable,
                         content.error().context +
                             "; the user that the KMS runs as must be able to read this file"};
    }
    return parse(contents).within("cannot load the keys in '" + path_ + "'");
}

Result<void> KeyDirectory::replace_certificate(KeyFile file, std::string_view pem) {
    if (file != KeyFile::temp_ca_certificate && file != KeyFile::root_ca_certificate &&
        file != KeyFile::rpc_certificate)
        return refused("'" + std::string(file_name(file)) +
                       "' is not a certificate: only those are ever replaced");
    TRY(const std::unique_ptr<FileSystem::Lock> lock, files_.lock(path_));
    const std::string target = path_of(file_name(file));
    const std::string draft = path_of("." + std::string(file_name(file)) + ".new");
    (void)files_.remove_file(draft);  // of a start that was interrupted here
    Result<void> written = write_file(draft, access_of(file), runtime::as_bytes(pem));
    if (written.has_value()) written = files_.rename(draft, target);
    if (!written.has_value()) {
        (void)files_.remove_file(draft);
        return written;
    }
    return files_.sync_directory(path_);
}

Result<std::string> KeyDirectory::bootstrap_info() const {
    TRY(const SecretBytes content, files_.read(path_of(file_name(KeyFile::bootstrap_info))));
    return std::string(content.text());
}

/// Makes path_ and its parents where they are missing.
Result<void> KeyDirectory::make_directories() {
    std::vector<std::string> missing;
    for (std::filesystem::path path(path_); !path.empty() && path != path.root_path();
         path = path.parent_path()) {
        const Result<std::vector<std::string>> names = files_.list(path.string());
        if (names.has_value()) break;
        if (names.error().code != ErrorCode::not_found) return names.error();
        missing.push_back(path.string());
    }
    for (; !missing.empty(); missing.pop_back()) {
        TRY_VOID(files_.make_directory(missing.back(), FileSystem::Access::world_readable));
        const std::string parent = std::filesystem::path(missing.back()).parent_path().string();
        TRY_VOID(files_.sync_directory(parent.empty() ? "." : parent));
    }
    return {};
}

Result<void> KeyDirectory::write_file(const std::string& path, FileSystem::Access access,
                                      ByteView content) {
    TRY(const std::unique_ptr<FileSystem::File> file, files_.create(path, access));
    TRY_VOID(file->write(content));
    return file->sync();
}

/// Stage 1, and the rename that is the commit.
Result<void> KeyDirectory::write_uncommitted(const KeyFiles& new_set) {
    TRY_VOID(forget_uncommitted());
    TRY_VOID(files_.make_directory(path_of(kNew), FileSystem::Access::owner_only));
    for (const KeyFile file : kKeyFiles)
        if (new_set[file].has_value())
            TRY_VOID(write_file(path_of(kNew) + "/" + std::string(file_name(file)), access_of(file),
                                new_set[file]->view()));
    TRY_VOID(files_.sync_directory(path_of(kNew)));
    return files_.rename_new(path_of(kNew), path_of(kCommitted));
}

Result<void> KeyDirectory::forget_uncommitted() {
    TRY(const std::vector<std::string> flat, names_in(path_));
    if (!contains(flat, kNew)) return {};
    TRY(const std::vector<std::string> leftovers, names_in(path_of(kNew)));
    for (const std::string& name : leftovers)
        TRY_VOID(files_.remove_file(path_of(kNew) + "/" + name));
    return files_.remove_directory(path_of(kNew));
}

Result<void> KeyDirectory::publish_committed() {
    return publish_all().within("the new key set is safe in '" + path_of(kCommitted) +
                                "', but not yet in use; the next start goes on from there");
}

/// Stage 3. Each step is done only if it was not done before, so that it can be gone through any
/// number of times.
Result<void> KeyDirectory::publish_all() {
    // The commit must be durable before the first file leaves the committed directory.
    TRY_VOID(files_.sync_directory(path_));
    TRY(const std::vector<std::string> waiting, names_in(path_of(kCommitted)));
    // All of them are compared before one is moved: what cannot be completed is left as it was
    // found.
    for (const KeyFile file : kKeyFiles)
        if (contains(waiting, file_name(file))) TRY_VOID(is_published(file));
    for (const KeyFile file : kKeyFiles)
        if (contains(waiting, file_name(file))) TRY_VOID(publish(file));
    // The files must be durable in their places before the directory that they came from goes. That
    // it went need not be durable: should it come back empty, it is removed again.
    TRY_VOID(files_.sync_directory(path_));
    return files_.remove_directory(path_of(kCommitted));
}

/// Whether a committed file is in its place already; an error when another one is.
Result<bool> KeyDirectory::is_published(KeyFile file) const {
    // An operator may have written this one beforehand; it is no key.
    if (file == KeyFile::rpc_domain) return false;
    const std::string from = path_of(kCommitted) + "/" + std::string(file_name(file));
    const std::string to = path_of(file_name(file));
    const Result<SecretBytes> existing = files_.read(to);
    if (!existing.has_value()) {
        if (existing.error().code == ErrorCode::not_found) return false;
        return existing.error();
    }
    TRY(const SecretBytes content, files_.read(from));
    if (!runtime::equal_constant_time(existing->view(), content.view()))
        return refused(
            "'" + to + "' and '" + from +
            "' belong to different key sets; move the one that is not in use to another place");
    return true;
}

Result<void> KeyDirectory::publish(KeyFile file) {
    const std::string from = path_of(kCommitted) + "/" + std::string(file_name(file));
    const std::string to = path_of(file_name(file));
    if (file == KeyFile::rpc_domain) return files_.rename(from, to);
    TRY(const bool published, is_published(file));
    return published ? files_.remove_file(from) : files_.rename_new(from, to);
}

}  // namespace kms::keys
