#include "launcher/logs/distributor.hpp"

#include <algorithm>
#include <cctype>

#include <unistd.h>

namespace launcher::logs {
namespace {

using runtime::LogLevel;

/// Whether a filter says `target=off` in so many words.
bool is_off(std::string_view filter, std::string_view target) {
    const auto trimmed = [](std::string_view text) {
        while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
        while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
        return text;
    };
    while (!filter.empty()) {
        const std::string_view directive = filter.substr(0, filter.find(','));
        filter.remove_prefix(std::min(directive.size() + 1, filter.size()));
        const std::size_t equals = directive.rfind('=');
        if (equals == std::string_view::npos || trimmed(directive.substr(0, equals)) != target)
            continue;
        const std::string_view level = trimmed(directive.substr(equals + 1));
        const bool word = level.size() == 3 &&
                          std::tolower(static_cast<unsigned char>(level[0])) == 'o' &&
                          std::tolower(static_cast<unsigned char>(level[1])) == 'f' &&
                          std::tolower(static_cast<unsigned char>(level[2])) == 'f';
        if (word || level == "0") return true;
    }
    return false;
}

std::string sink_name(const SinkPlan& plan) {
    switch (plan.kind) {
        case SinkKind::standard_output:
            return "stdout";
        case SinkKind::standard_error:
            return "stderr";
        case SinkKind::journald:
            return "journald";
        case SinkKind::file:
            return "file:" + plan.path;
    }
    return {};
}

/// A standard stream that leads to the journal is better written to as the journal.
SinkPlan resolved(SinkPlan plan, const PipelineOptions& options) {
    const bool output = plan.kind == SinkKind::standard_output,
               error = plan.kind == SinkKind::standard_error;
    if ((output && is_journal_stream(options.journal_stream, options.standard_output)) ||
        (error && is_journal_stream(options.journal_stream, options.standard_error))) {
        plan.kind = SinkKind::journald;
    }
    return plan;
}

runtime::Result<std::unique_ptr<SinkOutput>> make_output(const SinkPlan& plan,
                                                         const PipelineOptions& options) {
    switch (plan.kind) {
        case SinkKind::standard_output:
            return make_descriptor_output(options.standard_output);
        case SinkKind::standard_error:
            return make_descriptor_output(options.standard_error);
        case SinkKind::journald:
            return make_journal_output(options.journal_send);
        case SinkKind::file:
            return make_file_output(plan);
    }
    return runtime::Error{runtime::ErrorCode::internal, "unknown kind of log sink"};
}

}  // namespace

runtime::Result<std::unique_ptr<Distributor>> Distributor::open(const LogPlan& plan,
                                                                runtime::LogFilter filter,
                                                                const PipelineOptions& options,
                                                                std::shared_ptr<Doorbell> news) {
    std::unique_ptr<Distributor> distributor(new Distributor());
    distributor->new_filter_ = filter;
    distributor->groups_.push_back({std::move(filter)});
    for (const SinkPlan& planned : plan.sinks) {
        SinkPlan sink = resolved(planned, options);
        auto output = make_output(sink, options);
        if (!output && sink.kind != planned.kind) {
            // Nobody asked for the journal by name, and the stream is there.
            sink = planned;
            output = make_output(sink, options);
        }
        if (!output) return std::move(output.error());
        Route route;
        if (sink.filter) {
            std::vector<runtime::LogFilterProblem> problems;
            auto own = runtime::LogFilter::parse(*sink.filter, plan.syntax, problems);
            if (!problems.empty()) {
                return runtime::Error{runtime::ErrorCode::invalid_argument,
                                      "filter '" + *sink.filter + "' of log sink " +
                                          sink_name(sink) + ": " + problems.front().text};
            }
            route.group = distributor->groups_.size();
            distributor->groups_.push_back({std::move(own)});
        }
        Encoding encoding = Encoding::json;
        if (sink.kind == SinkKind::journald) {
            encoding = Encoding::journal;
        } else if (sink.format != SinkFormat::json) {
            const bool error = sink.kind == SinkKind::standard_error;
            const bool terminal =
                sink.kind != SinkKind::file &&
                ::isatty(error ? options.standard_error : options.standard_output) == 1;
            if (terminal && !options.no_color) {
                encoding = Encoding::colour_text;
            } else if (terminal || sink.format == SinkFormat::text) {
                encoding = Encoding::text;
            }
        }
        const auto same = std::find_if(
            distributor->forms_.begin(), distributor->forms_.end(), [&](const auto& form) {
                return form->encoding == encoding && form->group == route.group;
            });
        route.form = static_cast<std::size_t>(same - distributor->forms_.begin());
        if (same == distributor->forms_.end()) {
            distributor->forms_.push_back(
                std::unique_ptr<Form>(new Form{encoding,
                                               route.group,
                                               false,
                                               {},
                                               {},
                                               TextEncoder(encoding == Encoding::colour_text),
                                               {}}));
        }
        distributor->routes_.push_back(route);
        distributor->sinks_.push_back(
            std::make_unique<Sink>(sink_name(sink), sink.queue, std::move(*output), news));
    }
    return distributor;
}

std::uint16_t Distributor::service_index(std::string_view name) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(service_names_.begin(), service_names_.end(), name);
    const auto index = static_cast<std::uint16_t>(found - service_names_.begin());
    if (found == service_names_.end()) service_names_.emplace_back(name);
    return index;
}

std::string Distributor::service_name(std::size_t index) const {
    const std::lock_guard lock(mutex_);
    return index < service_names_.size() ? service_names_[index] : std::string();
}

bool Distributor::passes(const runtime::LogFilter& filter, const RecordView& record,
                         const runtime::LogEventView& event) {
    if (filter.enabled(event)) return true;
    // Events of the launcher that tell of trouble can be switched off only on purpose.
    const bool event_of_launcher = record.stream == Stream::none && !record.action.empty();
    return event_of_launcher && record.level >= LogLevel::warn &&
           !is_off(filter.text(), record.target);
}

void Distributor::take_new_filter() {
    if (!has_new_filter_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    has_new_filter_.store(false, std::memory_order_relaxed);
    groups_.front().filter = new_filter_;
    service_filters_ = new_service_filters_;
}

const runtime::LogFilter& Distributor::filter_for(const Group& group, std::uint16_t service) const {
    const bool common = &group == &groups_.front();
    if (common && service < service_filters_.size() && service_filters_[service])
        return *service_filters_[service];
    return group.filter;
}

std::string_view Distributor::encoded(Form& form, const RecordView& record) {
    if (form.made) return form.bytes.view();
    form.made = true;
    constexpr std::size_t kKeep = 64 * 1024;
    form.bytes.shrink(kKeep);
    switch (form.encoding) {
        case Encoding::json:
            form.json.encode(record, form.bytes);
            break;
        case Encoding::text:
        case Encoding::colour_text:
            form.text.encode(record, form.bytes);
            break;
        case Encoding::journal:
            form.journal.encode(record, form.bytes);
            break;
    }
    return form.bytes.view();
}

bool Distributor::give(RecordView& record, std::uint16_t service, bool lifecycle) {
    take_new_filter();
    bool wanted = false;
    std::optional<runtime::LogEventView> event;
    for (Group& group : groups_) {
        const auto& filter = filter_for(group, service);
        group.passes = lifecycle || filter.may_enable(record.level);
        if (!group.passes) continue;
        if (!event) event = events_.build(record);
        group.passes = passes(filter, record, *event);
        wanted |= group.passes;
    }
    if (!wanted) return false;
    for (const auto& form : forms_) form->made = false;
    const QueuedRecord queued{service,         record.level,
                              lifecycle,       record.lines,
                              record.received, static_cast<std::uint8_t>(record.stream)};
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
        const Group& group = groups_[routes_[i].group];
        if (!group.passes) continue;
        record.sequence = group.next;
        sinks_[i]->push(queued, encoded(*forms_[routes_[i].form], record));
    }
    for (Group& group : groups_) group.next += group.passes ? 1 : 0;
    return true;
}

void Distributor::skip_numbers(std::uint64_t count) {
    for (Group& group : groups_) group.next += count;
}

void Distributor::kick() {
    for (const auto& sink : sinks_) sink->kick();
}

void Distributor::set_filter(runtime::LogFilter filter) {
    const std::lock_guard lock(mutex_);
    new_filter_ = std::move(filter);
    new_service_filters_.clear();
    has_new_filter_.store(true, std::memory_order_release);
}

void Distributor::set_service_filter(std::string_view service,
                                     std::optional<runtime::LogFilter> filter) {
    const std::size_t index = service_index(service);
    const std::lock_guard lock(mutex_);
    if (new_service_filters_.size() <= index) new_service_filters_.resize(index + 1);
    new_service_filters_[index] = std::move(filter);
    has_new_filter_.store(true, std::memory_order_release);
}

std::string Distributor::filter_text() const {
    const std::lock_guard lock(mutex_);
    std::string text = new_filter_.text();
    for (std::size_t i = 0; i < new_service_filters_.size(); ++i)
        if (new_service_filters_[i])
            text += "; " + service_names_[i] + ": " + new_service_filters_[i]->text();
    return text;
}

void Distributor::reopen_files() {
    for (const auto& sink : sinks_) {
        if (sink->name().starts_with("file:")) sink->reopen();
    }
}

bool Distributor::flush(runtime::Deadline deadline) {
    bool all = true;
    for (const auto& sink : sinks_) all = sink->flush(deadline) && all;
    return all;
}

std::vector<SinkCounters> Distributor::counters() const {
    std::vector<std::string> names;
    {
        const std::lock_guard lock(mutex_);
        names = service_names_;
    }
    std::vector<SinkCounters> all;
    for (const auto& sink : sinks_) {
        const Sink::Counters counted = sink->counters();
        SinkCounters& counters = all.emplace_back();
        counters.name = sink->name();
        counters.up = counted.up;
        counters.state = counted.state;
        counters.queued_bytes = counted.queued_bytes;
        counters.queue_limit_bytes = counted.queue_limit_bytes;
        counters.stalled_for = counted.stalled_for;
        counters.records_written = counted.records_written;
        counters.queued_lines = counted.queued_lines;
        // Every service is listed, with zeros when it lost nothing: a metric exists from the start.
        for (std::size_t i = 0; i < names.size(); ++i) {
            const LossCount loss = i < counted.dropped.size() ? counted.dropped[i] : LossCount();
            counters.dropped.emplace_back(names[i], loss.lines);
            counters.dropped_by_stream.emplace_back(names[i], loss.by_stream);
            counters.dropped_bytes += loss.bytes;
        }
    }
    return all;
}

}  // namespace launcher::logs
