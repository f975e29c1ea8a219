// What the loaders of all programs share apart from documents: problems and their text, words,
// durations, sizes, files.
#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace runtime {
namespace {

/// A source line longer than this is shown as the part around the caret.
constexpr std::size_t kShownColumns = 120;
constexpr std::size_t kLargestDistance = 2;

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

/// The source line, indented, and below it the caret. A terminal gets no control characters from a
/// file.
std::string caret_lines(std::string_view source_line, std::size_t column) {
    const bool valid = is_utf8(source_line);
    std::vector<std::string> characters;
    for (const char c : source_line) {
        const auto byte = static_cast<unsigned char>(c);
        if (valid && is_continuation(c)) {
            // U+0080 to U+009F are control characters too.
            if (characters.back() == "\xc2" && byte < 0xa0)
                characters.back() = "?";
            else
                characters.back() += c;
        } else if (c == '\t') {
            characters.emplace_back(" ");
        } else {
            const bool show = byte >= 0x20 && c != 0x7f && (valid || byte < 0x80);
            characters.emplace_back(show ? std::string(1, c) : "?");
        }
    }
    std::size_t first = 0;
    if (characters.size() > kShownColumns && column > kShownColumns / 2)
        first = column - kShownColumns / 2;
    std::string text = "\n  ";
    for (std::size_t i = first; i < std::min(characters.size(), first + kShownColumns); ++i)
        text += characters[i];
    if (column == 0) return text;
    return text + "\n  " + std::string(column - 1 - first, ' ') + "^";
}

/// Optimal string alignment distance: insert, delete, replace, or swap two neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i)
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[a.size()][b.size()];
}

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

/// `number * factor` for "number unit"; nothing when the text is not of that form or the product is
/// above `largest`.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const std::vector<Unit>& units,
                                             std::uint64_t largest) {
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc{}) return std::nullopt;
    const std::string_view unit = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
    for (const Unit& known : units)
        if (unit == known.name && number <= largest / known.factor) return number * known.factor;
    return std::nullopt;
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

Error cannot_read(const std::string& path, int error) {
    const ErrorCode code =
        error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::unavailable;
    std::array<char, 128> buffer{};
    return Error{
        code, "cannot read '" + path + "': " + ::strerror_r(error, buffer.data(), buffer.size())};
}

}  // namespace

std::string ConfigProblem::to_string() const {
    std::string out = file;
    if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
    out += warning ? ": warning: " : ": error: ";
    out += text;
    if (!source_line.empty()) out += caret_lines(source_line, column);
    if (!hint.empty()) out += "\n  hint: " + hint;
    return out;
}

bool ConfigProblems::has_errors() const {
    return std::any_of(list_.begin(), list_.end(),
                       [](const ConfigProblem& p) { return !p.warning; });
}

std::string ConfigProblems::to_string() const {
    std::string out;
    for (const ConfigProblem& problem : list_) out += problem.to_string() + "\n";
    return out;
}

std::optional<std::string> nearest_word(std::string_view word,
                                        const std::vector<std::string>& known) {
    std::optional<std::string> nearest;
    std::size_t best = std::min(kLargestDistance + 1, word.size());
    for (const std::string& candidate : known) {
        // The distance is at least the difference of the lengths; this also bounds the work for
        // absurd words.
        const auto longer = std::max(word.size(), candidate.size());
        if (longer - std::min(word.size(), candidate.size()) >= best) continue;
        const std::size_t d = distance(word, candidate);
        if (d < best) {
            best = d;
            nearest = candidate;
        }
    }
    return nearest;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
    const auto nearest = nearest_word(word, known);
    return nearest ? "did you mean '" + *nearest + "'?" : "";
}

bool looks_secret(std::string_view name) {
    std::string upper(name);
    for (char& c : upper)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    constexpr std::array<std::string_view, 8> kWords = {"KEY",     "TOKEN",      "SECRET",   "PASS",
                                                        "PRIVATE", "CREDENTIAL", "MNEMONIC", "DSN"};
    if (name.ends_with("_URL")) return true;
    return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
        return upper.find(word) != std::string::npos;
    });
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const auto span =
        parse_with_unit(text, {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}},
                        std::uint64_t{100} * 365 * 24 * 3'600'000);
    if (!span)
        return Error{ErrorCode::invalid_argument,
                     "'" + std::string(text) +
                         "' is not a duration: write a whole number and ms, s, m or h, as in 5s"};
    return std::chrono::milliseconds(static_cast<std::int64_t>(*span));
}

Result<std::uint64_t> parse_size(std::string_view text) {
    const auto size =
        parse_with_unit(text, {{"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}},
                        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    if (!size)
        return Error{ErrorCode::invalid_argument,
                     "'" + std::string(text) +
                         "' is not a size: write a whole number and B, KiB or MiB, as in 4MiB"};
    return *size;
}

Result<std::string> read_file(const std::string& path, std::size_t max_size) {
    // Non-blocking: opening a FIFO without a writer would wait for one.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.get() < 0) return cannot_read(path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return cannot_read(path, errno);
    if (!S_ISREG(status.st_mode))
        return Error{ErrorCode::invalid_argument, "cannot read '" + path + "': not a regular file"};
    std::string content;
    std::array<char, 16 * 1024> buffer;
    for (;;) {
        const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cannot_read(path, errno);
        if (n == 0) return content;
        if (content.size() + static_cast<std::size_t>(n) > max_size)
            return Error{ErrorCode::invalid_argument, "cannot read '" + path + "': larger than " +
                                                          std::to_string(max_size) + " bytes"};
        content.append(buffer.data(), static_cast<std::size_t>(n));
    }
}

}  // namespace runtime
