// tee-simulator: a guest agent and a collateral server without hardware. For development and tests.
#include "kms/simulator/listener.hpp"
#include "kms/simulator/simulator.hpp"
#include "launcher/runtime/lifecycle.hpp"
#include "launcher/runtime/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <span>

#include <boost/asio/io_context.hpp>

namespace {

using namespace kms::simulator;
using kms::Error;
using kms::ErrorCode;
using kms::Result;
using runtime::kv;

constexpr std::string_view kHelp =
    R"(tee-simulator: a guest agent and a collateral server (PCCS) without hardware

Usage: tee-simulator [--agent ADDRESS] [--pccs ADDRESS] [--seed HEX] [--app NAME]
                     [--key-provider JSON] [--root-file FILE] [--switches JSON]
       tee-simulator --faults | --root | --machine

  --agent ADDRESS   of the guest agent: unix:/path, or address:port
  --pccs ADDRESS    of the collateral server: address:port; port 0 takes a free one
  --seed HEX        64 digits that everything is made from (default: 73 repeated)
  --app NAME        of the simulated application; makes its id
  --key-provider J  what the key-provider event says
  --root-file FILE  writes the root certificate there before anything listens
  --switches JSON   what is wrong from the start, as at PUT /simulator/switches
  --faults          list the names of all faults, with what they mean
  --root            print the root certificate; --machine what the machine is

The collateral server also answers /simulator/switches (GET, PUT), /simulator/machine,
/simulator/requests and /simulator/root.pem.
Nothing that this program signs is accepted by a KMS that was not told its root certificate, and the
installed dstack-kms cannot be told.
)";

struct CommandLine {
    std::string agent, pccs, root_file, print;
    Seed seed{};
    MachineText machine;
    Switches switches;
};

Result<CommandLine> parse(std::span<char*> words) {
    CommandLine line;
    line.seed.fill(0x73);
    for (std::size_t i = 1; i < words.size(); ++i) {
        const std::string word = words[i];
        if (word == "--faults" || word == "--root" || word == "--machine" || word == "--help" ||
            word == "-h") {
            line.print = word;
            continue;
        }
        if (i + 1 == words.size())
            return Error{ErrorCode::invalid_argument,
                         "'" + word + "' is unknown or lacks its value; --help lists all"};
        const std::string value = words[++i];
        if (word == "--agent") {
            line.agent = value;
        } else if (word == "--pccs") {
            line.pccs = value;
        } else if (word == "--root-file") {
            line.root_file = value;
        } else if (word == "--seed") {
            TRY(line.seed, seed_from_hex(value));
        } else if (word == "--app") {
            line.machine.name = value;
        } else if (word == "--key-provider") {
            line.machine.key_provider = value;
        } else if (word == "--switches") {
            TRY(line.switches, parse_switches(value).within("--switches"));
        } else {
            return Error{ErrorCode::invalid_argument,
                         "'" + word + "' is unknown; --help lists all"};
        }
    }
    if (line.print.empty() && line.agent.empty() && line.pccs.empty())
        return Error{ErrorCode::invalid_argument, "--agent or --pccs is needed; --help lists all"};
    return line;
}

void put(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void print(const CommandLine& line) {
    Simulator simulator(line.seed, line.machine);
    if (line.print == "--root") {
        put(simulator.root_pem());
    } else if (line.print == "--machine") {
        Request request;
        request.method = "GET";
        request.path = "/simulator/machine";
        put(simulator.switchboard(request)->body + "\n");
    } else if (line.print == "--faults") {
        for (const FaultRow& row : fault_rows())
            put(std::string(row.name) + "\t" +
                (row.stage ? std::string(kms::to_string(*row.stage)) : "(policy)") + "\t" +
                std::string(row.what) + "\n");
    } else {
        put(kHelp);
    }
}

/// Written beside and renamed, so that nobody reads half of it.
Result<void> write_root(const std::string& path, const std::string& pem) {
    const std::string beside = path + ".new";
    std::ofstream file(beside, std::ios::binary | std::ios::trunc);
    file << pem;
    file.close();
    if (!file || std::rename(beside.c_str(), path.c_str()) != 0)
        return Error{ErrorCode::unavailable, "cannot write '" + path + "'"};
    return {};
}

Result<void> serve(const CommandLine& line) {
    boost::asio::io_context io(1);
    runtime::SystemClock clock;
    Simulator simulator(line.seed, line.machine);
    simulator.switches() = line.switches;
    if (!line.root_file.empty()) TRY_VOID(write_root(line.root_file, simulator.root_pem()));

    Listener agent(io, clock, [&simulator](const Request& request) {
        Reply reply = simulator.agent(request);
        return Answer{std::move(reply), simulator.switches().agent};
    });
    Listener pccs(io, clock, [&simulator, &clock](const Request& request) {
        if (auto answer = simulator.switchboard(request))
            return Answer{std::move(*answer), WireFault::none};
        const auto now =
            std::chrono::duration_cast<std::chrono::seconds>(clock.wall_now().time_since_epoch());
        Reply reply = simulator.pccs(request, now.count());
        return Answer{std::move(reply), simulator.switches().pccs};
    });
    if (!line.agent.empty()) TRY_VOID(agent.listen(line.agent));
    if (!line.pccs.empty()) TRY_VOID(pccs.listen(line.pccs));
    runtime::log_warn("simulator", "serving simulated evidence, which proves nothing",
                      {kv("agent", line.agent), kv("pccs", line.pccs), kv("port", pccs.port())});
    runtime::run_until_signal(io, clock, std::chrono::milliseconds(0),
                              [](runtime::Deadline) -> runtime::Task<void> { co_return; });
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto line = parse(std::span(argv, static_cast<std::size_t>(argc)));
        if (!line) {
            std::fprintf(stderr, "tee-simulator: %s\n", line.error().context.c_str());
            return 2;
        }
        if (!line->print.empty()) {
            print(*line);
            return 0;
        }
        std::vector<runtime::LogFilterProblem> ignored;
        const runtime::Logging logging(
            {.filter = runtime::log_filter_from_environment(std::getenv("RUST_LOG"), ignored)});
        const auto served = serve(*line);
        if (served) return 0;
        std::fprintf(stderr, "tee-simulator: %s\n", served.error().context.c_str());
        return 1;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "tee-simulator: %s\n", failure.what());
        return 1;
    }
}
