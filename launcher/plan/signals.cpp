#include "launcher/plan/signals.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <csignal>

namespace launcher {
namespace {

struct Named {
    std::string_view name;
    int number;
};
constexpr std::array kSignals = {
    Named{"HUP", SIGHUP},       Named{"INT", SIGINT},       Named{"QUIT", SIGQUIT},
    Named{"ILL", SIGILL},       Named{"TRAP", SIGTRAP},     Named{"ABRT", SIGABRT},
    Named{"BUS", SIGBUS},       Named{"FPE", SIGFPE},       Named{"KILL", SIGKILL},
    Named{"USR1", SIGUSR1},     Named{"SEGV", SIGSEGV},     Named{"USR2", SIGUSR2},
    Named{"PIPE", SIGPIPE},     Named{"ALRM", SIGALRM},     Named{"TERM", SIGTERM},
    Named{"STKFLT", SIGSTKFLT}, Named{"CHLD", SIGCHLD},     Named{"CONT", SIGCONT},
    Named{"STOP", SIGSTOP},     Named{"TSTP", SIGTSTP},     Named{"TTIN", SIGTTIN},
    Named{"TTOU", SIGTTOU},     Named{"URG", SIGURG},       Named{"XCPU", SIGXCPU},
    Named{"XFSZ", SIGXFSZ},     Named{"VTALRM", SIGVTALRM}, Named{"PROF", SIGPROF},
    Named{"WINCH", SIGWINCH},   Named{"IO", SIGIO},         Named{"PWR", SIGPWR},
    Named{"SYS", SIGSYS},
};

std::optional<int> parse_number(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

std::optional<int> signal_number(std::string_view name) {
    std::string word(name);
    std::transform(word.begin(), word.end(), word.begin(), [](char c) {
        return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    });
    if (const auto number = parse_number(word)) {
        if (*number < 1 || *number > SIGRTMAX) return std::nullopt;
        return number;
    }
    if (word.starts_with("SIG")) word.erase(0, 3);
    if (word.starts_with("RTMIN")) {
        if (word.size() == 5) return SIGRTMIN;
        if (word[5] != '+') return std::nullopt;
        const auto offset = parse_number(std::string_view(word).substr(6));
        if (!offset || *offset < 0 || SIGRTMIN + *offset > SIGRTMAX) return std::nullopt;
        return SIGRTMIN + *offset;
    }
    for (const auto& named : kSignals)
        if (named.name == word) return named.number;
    return std::nullopt;
}

std::string signal_name(int number) {
    for (const auto& named : kSignals)
        if (named.number == number) return "SIG" + std::string(named.name);
    if (number == SIGRTMIN) return "SIGRTMIN";
    if (number > SIGRTMIN && number <= SIGRTMAX)
        return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
    return "signal " + std::to_string(number);
}

}  // namespace launcher
