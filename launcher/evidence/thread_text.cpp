#include "launcher/evidence/thread_text.hpp"

#include "launcher/evidence/syscall_names.hpp"
#include "launcher/evidence/text.hpp"

#include <algorithm>
#include <map>

namespace launcher::evidence {
namespace {

std::uint64_t counter(std::string_view text, std::string_view name) {
    return number_of(field_of(text, name)).value_or(0);
}

/// Gives equal addresses equal numbers, from 1.
class Ordinals {
  public:
    int of(std::uint64_t address) {
        return known_.try_emplace(address, static_cast<int>(known_.size()) + 1).first->second;
    }

  private:
    std::map<std::uint64_t, int> known_;
};

const ThreadSample* find(const Look& look, int tid) {
    const auto found = std::find_if(look.threads.begin(), look.threads.end(),
                                    [&](const ThreadSample& each) { return each.tid == tid; });
    return found == look.threads.end() ? nullptr : &*found;
}

/// The same call with the same object; lengths and time-outs may differ.
bool same_wait(const SyscallText& a, const SyscallText& b) {
    return a.where == b.where && a.number == b.number && a.arguments[0] == b.arguments[0];
}

std::string call_name(const SyscallText& call) {
    switch (call.where) {
        case SyscallText::Where::running:
            return "running";
        case SyscallText::Where::outside:
            return "none";
        case SyscallText::Where::inside:
            return syscall_name(call.number);
        case SyscallText::Where::unknown:
            break;
    }
    return "";
}

double share(std::uint64_t later, std::uint64_t earlier, std::chrono::microseconds span) {
    if (span.count() <= 0 || later <= earlier) return 0;
    return static_cast<double>(later - earlier) / 1000 / static_cast<double>(span.count());
}

}  // namespace

SyscallText parse_syscall(std::string_view text) {
    SyscallText call;
    const auto words = words_of(text);
    if (words.empty()) return call;
    if (words[0] == "running") {
        call.where = SyscallText::Where::running;
        return call;
    }
    const auto number = number_of<long>(words[0]);
    if (!number) return call;
    call.number = *number;
    call.where = *number < 0 ? SyscallText::Where::outside : SyscallText::Where::inside;
    if (*number < 0) return call;
    for (std::size_t i = 0; i < call.arguments.size() && i + 1 < words.size(); ++i)
        call.arguments[i] = number_of(words[i + 1], 16).value_or(0);
    return call;
}

ThreadSample parse_task(const TaskTexts& texts) {
    ThreadSample sample;
    sample.tid = texts.tid;
    sample.name = std::string(trimmed(texts.comm));
    // The name in stat may hold blanks and parentheses.
    const std::string_view stat = texts.stat;
    if (const auto close = stat.rfind(')'); close != std::string_view::npos) {
        const auto words = words_of(stat.substr(close + 1));
        if (!words.empty()) sample.state = words[0].front();
        if (words.size() > 12) {
            sample.user_ticks = number_of(words[11]).value_or(0);
            sample.system_ticks = number_of(words[12]).value_or(0);
        }
    }
    sample.voluntary = counter(texts.status, "voluntary_ctxt_switches");
    sample.involuntary = counter(texts.status, "nonvoluntary_ctxt_switches");
    sample.tracer = static_cast<int>(counter(texts.status, "TracerPid"));
    if (const auto words = words_of(texts.schedstat); words.size() >= 2) {
        sample.on_cpu_ns = number_of(words[0]).value_or(0);
        sample.wait_ns = number_of(words[1]).value_or(0);
    }
    // "0": it runs, or the name may not be known.
    sample.wchan = trimmed(texts.wchan) == "0" ? "" : std::string(trimmed(texts.wchan));
    sample.syscall = parse_syscall(texts.syscall);
    return sample;
}

std::vector<ThreadFacts> compare_looks(const std::vector<Look>& looks) {
    std::vector<ThreadFacts> threads;
    if (looks.empty()) return threads;
    const auto span = looks.back().at - looks.front().at;
    Ordinals futexes, buffers;
    for (const auto& last : looks.back().threads) {
        const auto* first = find(looks.front(), last.tid);
        ThreadFacts facts;
        facts.tid = last.tid;
        facts.name = last.name;
        facts.steady = first != nullptr;
        for (const auto& look : looks) {
            const auto* seen = find(look, last.tid);
            facts.states += seen != nullptr ? seen->state : '-';
            facts.steady = facts.steady && seen != nullptr && seen->state == last.state &&
                           seen->wchan == last.wchan && same_wait(seen->syscall, last.syscall);
        }
        if (first == nullptr) first = &last;
        facts.user_ticks = last.user_ticks - std::min(first->user_ticks, last.user_ticks);
        facts.system_ticks = last.system_ticks - std::min(first->system_ticks, last.system_ticks);
        facts.cpu_share = share(last.on_cpu_ns, first->on_cpu_ns, span);
        facts.wait_share = share(last.wait_ns, first->wait_ns, span);
        facts.voluntary = last.voluntary - std::min(first->voluntary, last.voluntary);
        facts.involuntary = last.involuntary - std::min(first->involuntary, last.involuntary);
        facts.wchan = last.wchan;
        facts.syscall = call_name(last.syscall);
        if (last.syscall.where == SyscallText::Where::inside) {
            const auto& call = last.syscall;
            if (is_futex_wait(call.number)) facts.futex = futexes.of(call.arguments[0]);
            if (takes_descriptor(call.number))
                facts.descriptor = static_cast<int>(call.arguments[0]);
            if (takes_buffer(call.number)) facts.buffer = buffers.of(call.arguments[1]);
        }
        threads.push_back(std::move(facts));
    }
    return threads;
}

void name_targets(std::vector<ThreadFacts>& threads,
                  const std::vector<DescriptorFacts>& descriptors,
                  const std::vector<SocketFacts>& sockets) {
    for (auto& thread : threads) {
        if (thread.futex != 0) thread.target = "futex#" + std::to_string(thread.futex);
        if (!thread.descriptor) continue;
        const auto found = std::find_if(
            descriptors.begin(), descriptors.end(),
            [&](const DescriptorFacts& each) { return each.number == *thread.descriptor; });
        if (found == descriptors.end()) continue;
        thread.target = found->kind;
        if (!found->text.empty()) thread.target += " " + found->text;
        if (found->kind != "socket") continue;
        const auto socket =
            std::find_if(sockets.begin(), sockets.end(),
                         [&](const SocketFacts& each) { return each.inode == found->inode; });
        if (socket == sockets.end()) continue;
        thread.target += " " + socket->local;
        if (!socket->peer.empty()) thread.target += " to " + socket->peer;
    }
}

std::vector<std::string> parse_stack(std::string_view text) {
    std::vector<std::string> functions;
    for (auto line : lines_of(text)) {
        // "[<0>] hrtimer_nanosleep+0x74/0xf0"
        if (const auto close = line.find("] "); close != std::string_view::npos)
            line.remove_prefix(close + 2);
        const auto name = trimmed(line.substr(0, line.find('+')));
        // Where the kernel gives no names it gives addresses, which are not kept.
        if (!name.empty() && !name.starts_with("0x") && functions.size() < 32)
            functions.emplace_back(name);
    }
    return functions;
}

}  // namespace launcher::evidence
