// Whatever text somebody sets as a filter: it is parsed or refused with places inside the text, and
// then answers.
#include "launcher/runtime/log_filter.hpp"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace runtime;

void require(bool holds) {
    if (!holds) std::abort();
}

void ask(const LogFilter& filter) {
    const std::array<LogFieldView, 2> fields{LogFieldView{"id", "7"}, LogFieldView{"name", "bob"}};
    const std::array<LogSpanView, 2> spans{LogSpanView{"req", fields}, LogSpanView{"bar", {}}};
    for (const std::string_view target :
         {"foo", "foo::bar", "dstack_kms::main_service", "auth-eth::stderr", ""}) {
        for (int level = 0; level <= static_cast<int>(LogLevel::fatal); ++level) {
            LogEventView event;
            event.level = static_cast<LogLevel>(level);
            event.target = target;
            event.service = "auth-eth";
            event.message = "say hello";
            event.spans = spans;
            event.fields = fields;
            const bool enabled = filter.enabled(event);
            // The quick refusal must never refuse what the filter lets pass.
            require(!enabled || filter.may_enable(event.level));
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    for (const LogFilterSyntax syntax : {LogFilterSyntax::tracing, LogFilterSyntax::env_logger}) {
        std::vector<LogFilterProblem> problems;
        const LogFilter filter = LogFilter::parse(text, syntax, problems);
        for (const LogFilterProblem& problem : problems) {
            require(problem.column <= text.size());
            require(!problem.text.empty());
        }
        ask(filter);
    }
    return 0;
}
