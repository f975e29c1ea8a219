#include "launcher/logs/redactor.hpp"

#include "launcher/logs/json_scan.hpp"
#include "launcher/logs/secret_forms.hpp"

#include <algorithm>

namespace launcher::logs {
namespace {

std::vector<std::string> all_patterns(const std::vector<KnownSecret>& secrets) {
    std::vector<std::string> patterns;
    for (const KnownSecret& secret : secrets) {
        for (const std::string& part : secret_parts(secret.value)) {
            for (std::string& form : secret_forms(part)) patterns.push_back(std::move(form));
        }
    }
    return patterns;
}

bool is_base64(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
}

}  // namespace

/// Finds and replaces in single texts.
class Redactor::Cleaner final : public StringFilter {
  public:
    explicit Cleaner(const Redactor& redactor) : redactor_(redactor) {}

    /// False when there is nothing to remove; else the clean text is in output().
    bool clean(std::string_view name, std::string_view text) {
        places_.clear();
        known_.clear();
        redactor_.known_.find(text, known_);
        for (const Interval& found : known_)
            places_.push_back({found.begin, found.end, RedactionRule::known_value});
        find_shapes(name, text, places_);
        if (places_.empty()) return false;
        std::sort(places_.begin(), places_.end(), [](const SecretPlace& a, const SecretPlace& b) {
            return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
        });
        output_.clear();
        std::size_t done = 0;
        for (std::size_t i = 0; i < places_.size();) {
            const SecretPlace& first = places_[i];
            std::size_t end = first.end;
            for (++i; i < places_.size() && places_[i].begin < end; ++i)
                end = std::max(end, places_[i].end);
            output_.append(text.substr(done, first.begin - done)).append(kRedacted);
            done = end;
            redactor_.count(first.rule);
        }
        output_.append(text.substr(done));
        changed_ = true;
        return true;
    }
    const std::string& output() const { return output_; }
    bool changed() const { return changed_; }

    std::string_view apply(std::string_view name, std::string_view text) override {
        return clean(name, text) ? std::string_view(output_) : text;
    }

  private:
    const Redactor& redactor_;
    std::vector<SecretPlace> places_;
    std::vector<Interval> known_;
    std::string output_;
    bool changed_ = false;
};

Redactor::Redactor(const std::vector<KnownSecret>& secrets) : known_(all_patterns(secrets)) {
    for (const KnownSecret& secret : secrets) {
        const std::vector<std::string> parts = secret_parts(secret.value);
        if (parts.empty()) refused_.push_back(secret.name);
        for (const std::string& part : parts) {
            for (const std::string& form : secret_forms(part)) filter_.add(form);
        }
    }
    add_shape_words(filter_);
}

bool Redactor::suspicious(std::string_view line) const {
    return filter_.may_contain(line) || may_have_shape(line);
}

bool Redactor::redact(RecordView& record, bool suspicious, TextArena& arena) const {
    if (!suspicious && !record.decoded) return false;
    Cleaner cleaner(*this);
    const auto clean = [&](std::string_view name, std::string_view& text) {
        if (text.empty() || (!suspicious && !this->suspicious(text) && !is_secret_field(name)))
            return;
        if (cleaner.clean(name, text)) text = arena.copy(cleaner.output());
    };
    const auto clean_fields = [&](std::vector<FieldView>& fields) {
        for (FieldView& field : fields) {
            if (field.kind == FieldKind::json) {
                const auto type = field.value.starts_with('[') ? JsonType::array : JsonType::object;
                TextBuffer rewritten;
                rewrite_json({type, field.value, true, false}, kMaxFieldDepth, &cleaner, rewritten);
                field.value = arena.copy(rewritten.view());
            } else {
                const std::string_view before = field.value;
                clean(field.kind == FieldKind::text ? field.name : std::string_view(), field.value);
                if (field.value.data() != before.data()) {
                    field.kind = FieldKind::text;
                    field.plain = false;
                }
            }
            const std::string_view name = field.name;
            clean({}, field.name);
            if (field.name.data() != name.data()) field.plain = false;
        }
    };
    const bool target_is_logger = record.target.data() == record.logger.data();
    for (std::string_view* text : {&record.message, &record.logger, &record.error_type,
                                   &record.error_message, &record.error_stack, &record.http_method,
                                   &record.url_path, &record.code_file, &record.original}) {
        clean({}, *text);
    }
    if (target_is_logger) record.target = record.logger;
    clean_fields(record.fields);
    clean_fields(record.span_fields);
    for (SpanView& span : record.spans) clean({}, span.name);
    return cleaner.changed();
}

std::string Redactor::redact(std::string text) const {
    Cleaner cleaner(*this);
    return cleaner.clean({}, text) ? cleaner.output() : text;
}

std::string_view Redactor::follow_key(KeyBlock& block, std::string_view line, bool has_header,
                                      std::string& scratch) const {
    constexpr std::size_t kMinRun = 20;  // shorter base64 in a line with a header may be anything
    if (!block.open) {
        if (opens_private_key(line) && !line.starts_with('{')) {
            block.open = true;
            block.lines = 0;
        }
        return line;
    }
    if (++block.lines > KeyBlock::kMaxLines) {
        block.open = false;
        return line;
    }
    const std::size_t end = private_key_end(line);
    if (end != std::string_view::npos) block.open = false;
    if (!has_header) {
        const std::size_t indent = std::min(line.find_first_not_of(" \t"), line.size());
        scratch.assign(line.substr(0, indent)).append(kRedacted);
        if (end != std::string_view::npos) scratch.append(line.substr(end));
        count(RedactionRule::private_key);
        return scratch;
    }
    scratch.clear();
    for (std::size_t i = 0; i < line.size();) {
        std::size_t run = i;
        while (run < line.size() && is_base64(line[run])) ++run;
        const bool material = run - i >= kMinRun || (run > i && run == line.size());
        if (material) count(RedactionRule::private_key);
        scratch.append(material ? kRedacted : line.substr(i, run - i));
        if (run < line.size()) scratch += line[run++];
        i = run;
    }
    return scratch;
}

std::size_t Redactor::unfinished(std::string_view part) const {
    constexpr std::size_t kLongPart = 1024;  // shorter ones are prompts, which people wait for
    constexpr std::size_t kMaxWords = 256;
    const std::size_t held = known_.unfinished(part);
    if (part.size() < kLongPart) return held;
    // A shape may lie across the cut: the last three words go to the next part, which is then
    // looked at as a whole.
    std::size_t begin = part.size();
    for (int words = 0; words < 3 && begin > 0; ++words) {
        const std::size_t blank = part.find_last_of(" \t\"',;{}()[]<>", begin - 1);
        begin = blank == std::string_view::npos ? 0 : blank;
    }
    const std::size_t shape = part.size() - begin;
    return shape <= kMaxWords ? std::max(held, shape) : held;
}

std::vector<std::pair<std::string, std::uint64_t>> Redactor::counts() const {
    std::vector<std::pair<std::string, std::uint64_t>> counts;
    for (std::size_t rule = 0; rule < kRedactionRules; ++rule) {
        counts.emplace_back(to_string(static_cast<RedactionRule>(rule)),
                            counts_[rule].load(std::memory_order_relaxed));
    }
    return counts;
}

}  // namespace launcher::logs
