/// A FileSystem in memory that can lose power.
///
/// It promises no more than a journaling file system does: after a power loss the names are as they
/// were at some moment since the last sync of any directory, in the order in which they were
/// changed, and a file holds what it held when it was last synced, or nothing.
#pragma once

#include "kms/keys/file_system.hpp"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test_support {

class MemoryFileSystem final : public kms::keys::FileSystem {
  public:
    /// `directory` exists from the start.
    explicit MemoryFileSystem(const std::string& directory) {
        names_[directory] = nullptr;
        history_ = {names_};
    }

    /// In how many states a power loss at this moment can leave the names.
    std::size_t possible_states() const { return history_.size(); }
    /// Loses power; state 0 is what the last sync made durable, the last one is what was seen just
    /// before.
    void lose_power(std::size_t state) {
        names_ = history_.at(state);
        for (const auto& [path, node] : names_)
            if (node != nullptr) node->content = node->durable;
        history_ = {names_};
        locked_ = false;
    }

    /// Reading this file fails from now on, as for a user without the right to.
    void make_unreadable(const std::string& path) { unreadable_ = path; }

    /// Everything that is there: path → content, with a / at the end for a directory.
    std::map<std::string, runtime::Bytes> snapshot() const {
        std::map<std::string, runtime::Bytes> all;
        for (const auto& [path, node] : names_)
            if (node == nullptr)
                all[path + "/"];
            else
                all[path] = node->content;
        return all;
    }

    runtime::Result<std::vector<std::string>> list(const std::string& directory) override {
        if (!is_directory(directory)) return missing(directory);
        std::vector<std::string> found;
        const std::string prefix = directory + "/";
        for (const auto& [path, node] : names_)
            if (path.starts_with(prefix) && path.find('/', prefix.size()) == std::string::npos)
                found.push_back(path.substr(prefix.size()));
        return found;
    }
    runtime::Result<runtime::SecretBytes> read(const std::string& path) override {
        const auto found = names_.find(path);
        if (found == names_.end()) return missing(path);
        if (found->second == nullptr) return refused(path, "not a regular file");
        if (path == unreadable_) return refused(path, "Permission denied");
        return runtime::SecretBytes::copy_of(found->second->content);
    }
    runtime::Result<void> make_directory(const std::string& path, Access) override {
        TRY_VOID(can_be_made(path));
        names_[path] = nullptr;
        return changed();
    }
    runtime::Result<std::unique_ptr<File>> create(const std::string& path, Access) override {
        TRY_VOID(can_be_made(path));
        auto node = std::make_shared<Node>();
        names_[path] = node;
        TRY_VOID(changed());
        return std::unique_ptr<File>(std::make_unique<MemoryFile>(std::move(node)));
    }
    runtime::Result<void> rename(const std::string& from, const std::string& to) override {
        if (is_directory(to) || is_directory(from))
            return refused(to, "this model renames directories to new names only");
        names_.erase(to);
        return rename_new(from, to);
    }
    runtime::Result<void> rename_new(const std::string& from, const std::string& to) override {
        if (!names_.contains(from)) return missing(from);
        TRY_VOID(can_be_made(to));
        std::map<std::string, std::shared_ptr<Node>> renamed;
        for (const auto& [path, node] : names_)
            renamed[path == from || path.starts_with(from + "/") ? to + path.substr(from.size())
                                                                 : path] = node;
        names_ = std::move(renamed);
        return changed();
    }
    runtime::Result<void> remove_file(const std::string& path) override {
        if (!names_.contains(path)) return missing(path);
        if (is_directory(path)) return refused(path, "is a directory");
        names_.erase(path);
        return changed();
    }
    runtime::Result<void> remove_directory(const std::string& path) override {
        TRY(const std::vector<std::string> inside, list(path));
        if (!inside.empty()) return refused(path, "Directory not empty");
        names_.erase(path);
        return changed();
    }
    runtime::Result<void> sync_directory(const std::string& path) override {
        if (!is_directory(path)) return missing(path);
        history_ = {names_};
        return {};
    }
    runtime::Result<std::unique_ptr<Lock>> lock(const std::string& directory) override {
        if (!is_directory(directory)) return missing(directory);
        if (locked_) return refused(directory, "locked");
        return std::unique_ptr<Lock>(std::make_unique<MemoryLock>(locked_));
    }

  private:
    struct Node {
        runtime::Bytes content;
        runtime::Bytes durable;
    };
    class MemoryFile final : public File {
      public:
        explicit MemoryFile(std::shared_ptr<Node> node) : node_(std::move(node)) {}
        runtime::Result<void> write(runtime::ByteView bytes) override {
            node_->content.insert(node_->content.end(), bytes.begin(), bytes.end());
            return {};
        }
        runtime::Result<void> sync() override {
            node_->durable = node_->content;
            return {};
        }

      private:
        std::shared_ptr<Node> node_;
    };
    class MemoryLock final : public Lock {
      public:
        explicit MemoryLock(bool& locked) : locked_(locked) { locked_ = true; }
        ~MemoryLock() override { locked_ = false; }

      private:
        bool& locked_;
    };

    static runtime::Error missing(const std::string& path) {
        return {runtime::ErrorCode::not_found, "'" + path + "': No such file or directory"};
    }
    static runtime::Error refused(const std::string& path, const std::string& why) {
        return {runtime::ErrorCode::unavailable, "'" + path + "': " + why};
    }
    bool is_directory(const std::string& path) const {
        const auto found = names_.find(path);
        return found != names_.end() && found->second == nullptr;
    }
    runtime::Result<void> can_be_made(const std::string& path) const {
        const std::string parent = path.substr(0, path.rfind('/'));
        if (!is_directory(parent)) return missing(parent);
        if (names_.contains(path)) return refused(path, "File exists");
        return {};
    }
    runtime::Result<void> changed() {
        history_.push_back(names_);
        return {};
    }

    std::map<std::string, std::shared_ptr<Node>> names_;  // nullptr: a directory
    std::vector<std::map<std::string, std::shared_ptr<Node>>> history_;
    std::string unreadable_;
    bool locked_ = false;
};

}  // namespace test_support
