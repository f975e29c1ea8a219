#include "launcher/evidence/bounded_reader.hpp"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include <pthread.h>
#include <time.h>

namespace launcher::evidence {

struct BoundedReader::Helper {
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> work;  ///< to do, or at work
    bool working = false, leave = false;
    std::chrono::nanoseconds cpu{0};
    std::shared_ptr<LostThreads> lost;
    bool is_lost = false;

    static void live(const std::shared_ptr<Helper>& self) {
        pthread_setname_np(pthread_self(), "evidence-read");
        std::unique_lock lock(self->mutex);
        while (true) {
            self->changed.wait(lock, [&] { return self->working || self->leave; });
            if (!self->working) return;
            auto work = std::move(self->work);
            lock.unlock();
            const auto before = thread_cpu_time();
            try {
                work();
            } catch (const std::exception&) {
                // Nothing was read; the caller finds no value.
            }
            work = nullptr;
            lock.lock();
            self->cpu += thread_cpu_time() - before;
            self->working = false;
            if (self->is_lost) {
                self->lost->count_.fetch_sub(1);  // it came back after all
                return;
            }
            self->changed.notify_all();
        }
    }
};

std::chrono::nanoseconds thread_cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

BoundedReader::~BoundedReader() {
    dismiss();
}

void BoundedReader::dismiss() {
    if (!helper_) return;
    const std::lock_guard lock(helper_->mutex);
    helper_->leave = true;
    helper_->changed.notify_all();
}

BoundedReader::Outcome BoundedReader::run(runtime::Deadline until, std::function<void()> work) {
    if (until.expired(std::chrono::steady_clock::now())) return Outcome::timeout;
    if (lost_->count() >= LostThreads::kMost) return Outcome::refused;
    if (!helper_) {
        auto helper = std::make_shared<Helper>();
        helper->lost = lost_;
        try {
            std::thread([helper] { Helper::live(helper); }).detach();
        } catch (const std::system_error&) {
            return Outcome::refused;  // no thread to be had
        }
        helper_ = std::move(helper);
    }
    std::unique_lock lock(helper_->mutex);
    helper_->work = std::move(work);
    helper_->working = true;
    helper_->changed.notify_all();
    const auto before = helper_->cpu;
    if (helper_->changed.wait_until(lock, until.at(), [&] { return !helper_->working; })) {
        cpu_ += helper_->cpu - before;
        return Outcome::done;
    }
    helper_->is_lost = true;
    helper_->leave = true;
    lost_->count_.fetch_add(1);
    lock.unlock();
    helper_.reset();
    return Outcome::timeout;
}

}  // namespace launcher::evidence
