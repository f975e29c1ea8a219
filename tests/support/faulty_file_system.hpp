/// A FileSystem that counts the steps that change something and lets one of them go wrong.
#pragma once

#include "kms/keys/file_system.hpp"

#include <functional>
#include <utility>

namespace test_support {

/// Steps are counted from 0. Borrows the file system that does the work.
class FaultyFileSystem final : public kms::keys::FileSystem {
  public:
    enum class Fault {
        none,
        stop_before,  ///< calls on_stop instead of the step
        stop_amid,    ///< as stop_before, but a write leaves the first half of its bytes behind
        fail,         ///< the step fails; a write leaves the first half of its bytes behind
        disk_full,    ///< this and every later step that needs room fails
    };

    FaultyFileSystem(kms::keys::FileSystem& inner, Fault fault, int step,
                     std::function<void()> on_stop = {})
        : inner_(inner), fault_(fault), faulty_step_(step), on_stop_(std::move(on_stop)) {}

    int steps() const { return steps_; }

    runtime::Result<std::vector<std::string>> list(const std::string& directory) override {
        return inner_.list(directory);
    }
    runtime::Result<runtime::SecretBytes> read(const std::string& path) override {
        return inner_.read(path);
    }
    runtime::Result<std::unique_ptr<Lock>> lock(const std::string& directory) override {
        return inner_.lock(directory);
    }

    runtime::Result<void> make_directory(const std::string& path, Access access) override {
        TRY_VOID(step(Needs::room, path));
        return inner_.make_directory(path, access);
    }
    runtime::Result<std::unique_ptr<File>> create(const std::string& path, Access access) override {
        TRY_VOID(step(Needs::room, path));
        TRY(std::unique_ptr<File> file, inner_.create(path, access));
        return std::unique_ptr<File>(std::make_unique<FaultyFile>(*this, std::move(file), path));
    }
    runtime::Result<void> rename(const std::string& from, const std::string& to) override {
        TRY_VOID(step(Needs::room, to));
        return inner_.rename(from, to);
    }
    runtime::Result<void> rename_new(const std::string& from, const std::string& to) override {
        TRY_VOID(step(Needs::room, to));
        return inner_.rename_new(from, to);
    }
    runtime::Result<void> remove_file(const std::string& path) override {
        TRY_VOID(step(Needs::nothing, path));
        return inner_.remove_file(path);
    }
    runtime::Result<void> remove_directory(const std::string& path) override {
        TRY_VOID(step(Needs::nothing, path));
        return inner_.remove_directory(path);
    }
    runtime::Result<void> sync_directory(const std::string& path) override {
        TRY_VOID(step(Needs::nothing, path));
        return inner_.sync_directory(path);
    }

  private:
    enum class Needs { room, nothing };

    class FaultyFile final : public File {
      public:
        FaultyFile(FaultyFileSystem& owner, std::unique_ptr<File> inner, std::string path)
            : owner_(owner), inner_(std::move(inner)), path_(std::move(path)) {}
        runtime::Result<void> write(runtime::ByteView bytes) override {
            const auto half = [&] { (void)inner_->write(bytes.first(bytes.size() / 2)); };
            TRY_VOID(owner_.step(Needs::room, path_, half));
            return inner_->write(bytes);
        }
        runtime::Result<void> sync() override {
            TRY_VOID(owner_.step(Needs::room, path_));
            return inner_->sync();
        }

      private:
        FaultyFileSystem& owner_;
        std::unique_ptr<File> inner_;
        std::string path_;
    };

    /// Counts a step; fails or stops if it is the faulty one, after `half` of it was done.
    runtime::Result<void> step(Needs needs, const std::string& path,
                               const std::function<void()>& half = {}) {
        const int number = steps_++;
        const auto failed = [&](const char* reason) {
            if (half) half();
            return runtime::Error{runtime::ErrorCode::unavailable,
                                  "cannot touch '" + path + "': " + reason};
        };
        if (fault_ == Fault::disk_full && number >= faulty_step_ && needs == Needs::room)
            return failed("No space left on device");
        if (number != faulty_step_) return {};
        switch (fault_) {
            case Fault::none:
            case Fault::disk_full:
                return {};
            case Fault::fail:
                return failed("Input/output error");
            case Fault::stop_amid:
                if (half) half();
                [[fallthrough]];
            case Fault::stop_before:
                on_stop_();
        }
        return failed("stopped");
    }

    kms::keys::FileSystem& inner_;
    Fault fault_;
    int faulty_step_;
    std::function<void()> on_stop_;
    int steps_ = 0;
};

}  // namespace test_support
