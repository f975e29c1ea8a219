// Whatever stands in /proc and in control groups, some of it named by the service itself: it is
// read within its bounds, and the rules find an answer.
#include "launcher/evidence/rules.hpp"
#include "launcher/evidence/socket_text.hpp"
#include "launcher/evidence/system_text.hpp"
#include "launcher/evidence/text.hpp"
#include "launcher/evidence/thread_text.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace launcher::evidence;
using namespace std::chrono_literals;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

/// The next piece of the input, up to a zero byte.
std::string piece(std::string_view& input) {
    const auto size = std::min(input.find('\0'), input.size());
    std::string text(input.substr(0, size));
    input.remove_prefix(std::min(size + 1, input.size()));
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    Facts facts;
    TaskTexts texts{7, "x\n", piece(input), piece(input), piece(input), piece(input), piece(input)};
    const auto sample = parse_task(texts);
    facts.threads = compare_looks({{0us, {sample}}, {1s, {sample}}});
    require(facts.threads.size() == 1 && facts.threads[0].states.size() == 2);
    facts.threads[0].stack = parse_stack(piece(input));
    require(facts.threads[0].stack.size() <= 32);
    const auto link = piece(input);
    facts.descriptors = {parse_link(1, link, {"/run/secrets"})};
    require(!facts.descriptors[0].text.starts_with("/run/secrets/") ||
            facts.descriptors[0].text == "/run/secrets/");
    facts.descriptors[0].info = parse_fdinfo(facts.descriptors[0].kind, piece(input));
    const auto net = piece(input);
    auto sockets = parse_net_tcp(net, false);
    for (auto& socket : parse_net_tcp(net, true)) sockets.push_back(std::move(socket));
    for (auto& socket : parse_net_unix(net)) sockets.push_back(std::move(socket));
    facts.sockets = own_sockets(std::move(sockets), facts.descriptors);
    name_targets(facts.threads, facts.descriptors, facts.sockets);
    const auto counters = piece(input);
    facts.process = parse_process(
        {{"io", counters}},
        {{"stat", texts.stat}, {"status", texts.status}, {"io", counters}, {"limits", counters}});
    for (const auto& place : cgroup_places(piece(input), piece(input))) {
        require(!place.shown.empty());
        Texts files;
        for (const auto& name : cgroup_files(place.v2)) files.emplace(name, counters);
        facts.cgroups.push_back(parse_cgroup(place, files, files));
    }
    facts.pressure.cpu_some = stalled_share("some", counters, piece(input), 1s);
    require(facts.pressure.cpu_some.value_or(0) <= 100);
    require(busiest({{1, texts.stat}}, {{1, counters}}, 1s, 100, {}).size() <= 1);
    require(!judge(facts).rule.empty());
    return 0;
}
