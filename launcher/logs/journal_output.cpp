// Fields come from records, not from the place in this file that sends them.
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "launcher/logs/encode.hpp"
#include "launcher/logs/sink_output.hpp"

#include <cerrno>
#include <vector>

#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

namespace launcher::logs {
namespace {

constexpr const char* kSocket = "/run/systemd/journal/socket";

bool journal_listens() {
    return ::access(kSocket, W_OK) == 0;
}

/// libsystemd says that all is well when there is no journal at all; a loss must be seen as one.
int send_to_journal(const iovec* fields, int count) {
    if (!journal_listens()) return -ENOENT;
    return ::sd_journal_sendv(fields, count);
}

class JournalOutput final : public SinkOutput {
  public:
    explicit JournalOutput(JournalSend send) : send_(std::move(send)) {}

    std::size_t group_limit() const override { return 0; }

    long write(std::string_view bytes, bool) override {
        JournalEncoder::unpack(bytes, fields_);
        vectors_.clear();
        for (const std::string_view field : fields_) {
            vectors_.push_back({const_cast<char*>(field.data()), field.size()});
        }
        const int sent = send_(vectors_.data(), static_cast<int>(vectors_.size()));
        return sent < 0 ? sent : static_cast<long>(bytes.size());
    }

  private:
    JournalSend send_;
    std::vector<std::string_view> fields_;
    std::vector<iovec> vectors_;
};

}  // namespace

runtime::Result<std::unique_ptr<SinkOutput>> make_journal_output(JournalSend send) {
    if (!send && !journal_listens()) {
        // Taken by reference: GCC 12 warns about the copy when it sees a short string moved.
        const runtime::Error nobody{
            runtime::ErrorCode::invalid_argument,
            std::string("cannot log to the journal: nothing listens at ") + kSocket};
        return nobody;
    }
    if (!send) send = send_to_journal;
    return std::unique_ptr<SinkOutput>(std::make_unique<JournalOutput>(std::move(send)));
}

}  // namespace launcher::logs
