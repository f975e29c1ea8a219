#include "auth/policy/simple_policy.hpp"
#include "launcher/runtime/config.hpp"

#include <algorithm>

#include <boost/json/parser.hpp>
#include <boost/json/value.hpp>

namespace auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 16;

std::string kind_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null:
            return "null";
        case json::kind::bool_:
            return "true or false";
        case json::kind::int64:
        case json::kind::uint64:
        case json::kind::double_:
            return "a number";
        case json::kind::string:
            return "a text";
        case json::kind::array:
            return "a list";
        case json::kind::object:
            return "an object";
    }
    return "something else";
}

/// "line 3, column 7" of a byte offset, both counted from 1.
std::string place_of(std::string_view text, std::size_t offset) {
    const auto before = text.substr(0, std::min(offset, text.size()));
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto line_start = before.rfind('\n');
    const auto column =
        before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

/// One object of the file. Asked for each member by type, it adds a sentence for what is wrong; a
/// member that is absent leaves the default in place.
class Table {
  public:
    Table(const json::object& object, std::string path, PolicyReading& reading)
        : object_(object), path_(std::move(path)), reading_(reading) {}

    void text(std::string_view name, std::string& out) {
        if (const auto* value = find(name)) {
            if (const auto* found = value->if_string())
                out.assign(found->data(), found->size());
            else
                wrong(name, "a text", *value);
        }
    }
    void boolean(std::string_view name, bool& out) {
        if (const auto* value = find(name)) {
            if (const auto* found = value->if_bool())
                out = *found;
            else
                wrong(name, "true or false", *value);
        }
    }
    void whole_number(std::string_view name, std::uint64_t& out) {
        const auto* value = find(name);
        if (value == nullptr) return;
        if (const auto* positive = value->if_int64(); positive != nullptr && *positive >= 0)
            out = static_cast<std::uint64_t>(*positive);
        else if (const auto* large = value->if_uint64())
            out = *large;
        else
            wrong(name, "a whole number that is not negative", *value);
    }
    /// A list of texts; `hex` puts each in comparison form.
    void texts(std::string_view name, bool hex, TextSet& out) {
        const auto* value = find(name);
        if (value == nullptr) return;
        const auto* list = value->if_array();
        if (list == nullptr) return wrong(name, "a list of texts", *value);
        TextSet found;
        for (std::size_t i = 0; i < list->size(); ++i) {
            const auto* item = (*list)[i].if_string();
            if (item == nullptr) {
                wrong(std::string(name) + "[" + std::to_string(i) + "]", "a text", (*list)[i]);
                continue;
            }
            const std::string_view text(item->data(), item->size());
            found.insert(hex ? comparison_form(text) : std::string(text));
        }
        out = std::move(found);
    }
    std::optional<Table> table(std::string_view name) {
        const auto* value = find(name);
        if (value == nullptr) return std::nullopt;
        if (const auto* found = value->if_object())
            return Table(*found, member_path(name), reading_);
        wrong(name, "an object", *value);
        return std::nullopt;
    }
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const auto& member : object_)
            out.emplace_back(member.key().data(), member.key().size());
        return out;
    }
    void warn(std::string text) { reading_.warnings.push_back(std::move(text)); }
    std::string member_path(std::string_view name) const {
        return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
    }
    /// A name that nobody asked for is most likely misspelt; it is ignored, as upstream does, but
    /// not in silence.
    void finish() {
        for (const auto& name : names()) {
            if (std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
            const auto nearest = runtime::nearest_word(name, asked_);
            warn("'" + member_path(name) + "' is not a known member and is ignored" +
                 (nearest ? "; did you mean '" + *nearest + "'?" : ""));
        }
    }

  private:
    const json::value* find(std::string_view name) {
        asked_.emplace_back(name);
        return object_.if_contains(json::string_view(name.data(), name.size()));
    }
    void wrong(std::string_view name, std::string_view expected, const json::value& found) {
        reading_.mistakes.push_back("'" + member_path(name) + "' must be " + std::string(expected) +
                                    ", not " + kind_of(found));
    }

    const json::object& object_;
    std::string path_;
    PolicyReading& reading_;
    std::vector<std::string> asked_;
};

void read_device_rule(Table& table, DeviceRule& rule) {
    table.boolean("allowAnyDevice", rule.allow_any);
    table.texts("devices", true, rule.devices);
}

void read_apps(Table apps, SimplePolicy& policy) {
    for (const auto& id : apps.names()) {
        auto table = apps.table(id);
        if (!table) continue;
        AppRule rule;
        table->texts("composeHashes", true, rule.compose_hashes);
        read_device_rule(*table, rule.device);
        table->finish();
        if (!policy.apps.emplace(comparison_form(id), std::move(rule)).second)
            apps.warn("'" + apps.member_path(id) +
                      "' names an application that is listed before; the first entry counts");
    }
}

SimplePolicy read_policy(Table root) {
    SimplePolicy policy;
    root.text("gatewayAppId", policy.info.gateway_app_id);
    root.text("kmsContractAddr", policy.info.kms_contract_addr);
    root.whole_number("chainId", policy.info.chain_id);
    root.text("appImplementation", policy.info.app_implementation);
    root.texts("osImages", true, policy.os_images);
    root.texts("allowedTcbStatuses", false, policy.allowed_tcb_statuses);
    root.texts("allowedAdvisoryIds", false, policy.allowed_advisory_ids);
    if (auto kms = root.table("kms")) {
        kms->texts("mrAggregated", true, policy.kms_mr_aggregated);
        read_device_rule(*kms, policy.kms_device);
        kms->finish();
    }
    if (auto apps = root.table("apps")) read_apps(std::move(*apps), policy);
    root.finish();
    return policy;
}

/// Parses the text to one value, or adds a sentence with the place of the mistake.
std::optional<json::value> parse_json(std::string_view text, PolicyReading& reading) {
    json::parse_options options;
    options.max_depth = kMaxDepth;
    json::parser parser({}, options);
    json::error_code error;
    const std::size_t used = parser.write_some(text.data(), text.size(), error);
    if (!error && used < text.size()) error = json::error::extra_data;
    if (!error) return parser.release();
    const std::string what =
        error == json::error::incomplete ? "the text ends too early" : error.message();
    reading.mistakes.push_back("not JSON at " + place_of(text, used) + ": " + what);
    return std::nullopt;
}

}  // namespace

PolicyReading parse_simple_policy(std::string_view text) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    PolicyReading reading;
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        reading.mistakes.emplace_back("the file is empty");
        return reading;
    }
    const auto document = parse_json(text, reading);
    if (!document) return reading;
    const auto* object = document->if_object();
    if (object == nullptr) {
        reading.mistakes.push_back("the file must hold a JSON object, not " + kind_of(*document));
        return reading;
    }
    auto policy = read_policy(Table(*object, "", reading));
    if (reading.mistakes.empty()) reading.policy = std::move(policy);
    return reading;
}

}  // namespace auth
