#include "launcher/logs/probe_noise.hpp"

#include <algorithm>

namespace launcher::logs {

void ProbeNoise::note_port(std::uint16_t port, runtime::TimePoint now) {
    const std::lock_guard lock(mutex_);
    std::erase_if(ports_,
                  [&](const Port& known) { return known.number == port || known.until <= now; });
    if (ports_.size() >= kMaxPorts) ports_.pop_front();
    ports_.push_back({port, now + kMemory});
}

bool ProbeNoise::take_port(std::uint16_t port, runtime::TimePoint now) {
    const std::lock_guard lock(mutex_);
    return std::any_of(ports_.begin(), ports_.end(), [&](const Port& known) {
        return known.number == port && known.until > now;
    });
}

bool ProbeNoise::is_noise(const RecordView& record, runtime::TimePoint now) {
    if (record.remote_port == 0 && (record.request_id.empty() || requests_.empty())) return false;
    while (!requests_.empty() && requests_.front().until <= now) requests_.pop_front();
    bool noise = false;
    if (record.remote_port != 0 && take_port(record.remote_port, now)) {
        noise = true;
        if (!record.request_id.empty()) {
            if (requests_.size() >= kMaxRequests) requests_.pop_front();
            requests_.push_back(
                {std::string(record.service), std::string(record.request_id), now + kMemory});
        }
    } else if (!record.request_id.empty()) {
        noise = std::any_of(requests_.begin(), requests_.end(), [&](const Request& known) {
            return known.id == record.request_id && known.service == record.service;
        });
    }
    return noise && record.level <= runtime::LogLevel::info;
}

}  // namespace launcher::logs
