#include "auth/policy/boot_request.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/error.hpp>

namespace auth {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
namespace json = boost::json;

enum class MemberForm { hex, text, list };

struct Member {
    std::string_view name;
    MemberForm form;
    bool required;
    std::size_t limit;  ///< hexadecimal digits, or code points
    bool identity;      ///< a decision rests on it, so padding matters
};

// In the order of BootRequest; a request is checked in this order, so that the first mistake named
// is the same always.
enum Index : std::size_t {
    kMrAggregated,
    kOsImageHash,
    kAppId,
    kComposeHash,
    kInstanceId,
    kDeviceId,
    kMrSystem,
    kTcbStatus,
    kAdvisoryIds,
    kMemberCount,
};
constexpr std::array<Member, kMemberCount> kMembers = {{
    {"mrAggregated", MemberForm::hex, true, 64, true},
    {"osImageHash", MemberForm::hex, true, 64, true},
    {"appId", MemberForm::hex, true, 40, true},
    {"composeHash", MemberForm::hex, true, 64, true},
    {"instanceId", MemberForm::hex, true, 40, false},
    {"deviceId", MemberForm::hex, true, 64, true},
    {"mrSystem", MemberForm::hex, false, 64, false},
    {"tcbStatus", MemberForm::text, false, kMaxTcbStatus, false},
    {"advisoryIds", MemberForm::list, false, kMaxAdvisoryId, false},
}};
constexpr std::size_t kLongestName =
    16;  // longer names are cut when compared; no known name is that long

/// What was found for one member; a later occurrence replaces an earlier one whole.
struct Found {
    enum class Kind { absent, null, text, list, other } kind = Kind::absent;
    std::string text;
    std::vector<std::string> items;
    std::size_t item_count = 0;           ///< items beyond the limit are counted, not kept
    std::string_view value_kind = {};     ///< for messages: "a number"
    std::string_view bad_item_kind = {};  ///< of the first item that is no text; empty when all are
};

/// Takes what the parser finds, event by event, and keeps the nine members only: memory is bounded
/// by the body whatever the body holds.
class Handler {
  public:
    static constexpr std::size_t max_object_size = kMaxRequestBytes;
    static constexpr std::size_t max_array_size = kMaxRequestBytes;
    static constexpr std::size_t max_key_size = kMaxRequestBytes;
    static constexpr std::size_t max_string_size = kMaxRequestBytes;

    std::array<Found, kMemberCount> found;
    bool forbidden_name = false;
    std::string_view root_kind = "an object";

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code&) {
        value("an object");
        ++depth_;
        return true;
    }
    bool on_object_end(std::size_t, json::error_code&) {
        --depth_;
        return true;
    }
    bool on_array_begin(json::error_code&) {
        if (depth_ == 1 && member_ != nullptr) {
            member_->kind = Found::Kind::list;
            member_->value_kind = "a list";
        } else {
            value("a list");
        }
        ++depth_;
        return true;
    }
    bool on_array_end(std::size_t, json::error_code&) {
        --depth_;
        return true;
    }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        append_key(part);
        return true;
    }
    bool on_key(json::string_view part, std::size_t, json::error_code& error) {
        append_key(part);
        forbidden_name = key_ == "__proto__";
        if (forbidden_name) {
            error = json::error::syntax;
            return false;
        }
        if (depth_ == 1) select_member();
        key_.clear();
        return true;
    }
    bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
        text_ += part;
        return true;
    }
    bool on_string(json::string_view part, std::size_t, json::error_code&) {
        text_ += part;
        if (depth_ == 1 && member_ != nullptr) {
            member_->kind = Found::Kind::text;
            member_->value_kind = "text";
            member_->text = std::move(text_);
        } else if (in_list()) {
            if (++member_->item_count <= kMaxAdvisories) member_->items.push_back(std::move(text_));
        } else if (depth_ == 0) {
            root_kind = "a text";
        }
        text_.clear();
        return true;
    }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, json::error_code&) { return value("a number"); }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code&) {
        return value("a number");
    }
    bool on_double(double, json::string_view, json::error_code&) { return value("a number"); }
    bool on_bool(bool, json::error_code&) { return value("true or false"); }
    bool on_null(json::error_code&) {
        if (depth_ == 1 && member_ != nullptr) {
            member_->kind = Found::Kind::null;
            member_->value_kind = "null";
            return true;
        }
        return value("null");
    }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

  private:
    bool in_list() const {
        return depth_ == 2 && member_ != nullptr && member_->kind == Found::Kind::list;
    }
    void append_key(json::string_view part) {
        key_ += part.substr(
            0, std::min(part.size(), kLongestName - std::min(key_.size(), kLongestName)));
    }
    void select_member() {
        const auto place =
            std::find_if(kMembers.begin(), kMembers.end(),
                         [this](const Member& member) { return member.name == key_; });
        member_ = place == kMembers.end()
                      ? nullptr
                      : &found[static_cast<std::size_t>(place - kMembers.begin())];
        if (member_ != nullptr) *member_ = Found{};
    }
    /// A value that is neither text nor a list where it stands.
    bool value(std::string_view kind) {
        if (depth_ == 0) {
            root_kind = kind;
        } else if (depth_ == 1 && member_ != nullptr) {
            member_->kind = Found::Kind::other;
            member_->value_kind = kind;
        } else if (in_list()) {
            ++member_->item_count;
            if (member_->bad_item_kind.empty()) member_->bad_item_kind = kind;
        }
        return true;
    }

    std::size_t depth_ = 0;
    Found* member_ = nullptr;  ///< of the last name at depth 1; into `found`
    std::string key_;
    std::string text_;
};

Error invalid(std::string text) {
    return Error{ErrorCode::invalid_argument, std::move(text)};
}

std::string quoted(std::string_view name) {
    return "'" + std::string(name) + "'";
}

std::size_t code_points(std::string_view utf8) {
    return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

bool is_hex_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

Result<void> check_hex(const Member& member, std::string_view text, const RequestRules& rules) {
    if (!rules.check_hex) return {};
    if (text.starts_with("0x")) text.remove_prefix(2);
    if (!std::all_of(text.begin(), text.end(), is_hex_digit))
        return invalid(quoted(member.name) + " must be hexadecimal digits after an optional 0x");
    if (text.size() > member.limit)
        return invalid(quoted(member.name) + " has " + std::to_string(text.size()) +
                       " digits, more than " + std::to_string(member.limit));
    if (rules.full_lengths && member.identity && !text.empty() && text.size() != member.limit)
        return invalid(quoted(member.name) + " has " + std::to_string(text.size()) +
                       " digits where " + std::to_string(member.limit) + " or none are expected");
    return {};
}

Result<void> check_list(const Member& member, const Found& found) {
    if (!found.bad_item_kind.empty())
        return invalid(quoted(member.name) + " must be a list of texts, but holds " +
                       std::string(found.bad_item_kind));
    if (found.item_count > kMaxAdvisories)
        return invalid(quoted(member.name) + " has " + std::to_string(found.item_count) +
                       " items, more than " + std::to_string(kMaxAdvisories));
    for (const auto& item : found.items)
        if (code_points(item) > member.limit)
            return invalid("an item of " + quoted(member.name) + " is longer than " +
                           std::to_string(member.limit) + " characters");
    return {};
}

Result<void> check_member(const Member& member, const Found& found, const RequestRules& rules) {
    const bool empty = found.kind == Found::Kind::absent || found.kind == Found::Kind::null;
    if (!member.required && empty) return {};
    if (found.kind == Found::Kind::absent) return invalid(quoted(member.name) + " is missing");
    const auto expected = member.form == MemberForm::list ? Found::Kind::list : Found::Kind::text;
    if (found.kind != expected)
        return invalid(quoted(member.name) + " must be " +
                       (member.form == MemberForm::list ? "a list of texts" : "text") + ", not " +
                       std::string(found.value_kind));
    switch (member.form) {
        case MemberForm::hex:
            return check_hex(member, found.text, rules);
        case MemberForm::list:
            return check_list(member, found);
        case MemberForm::text:
            break;
    }
    if (code_points(found.text) > member.limit)
        return invalid(quoted(member.name) + " is longer than " + std::to_string(member.limit) +
                       " characters");
    return {};
}

/// Runs the parser over the whole body.
Result<void> scan(json::basic_parser<Handler>& parser, std::string_view body) {
    json::error_code error;
    const std::size_t used = parser.write_some(false, body.data(), body.size(), error);
    if (parser.handler().forbidden_name) return invalid("a member named __proto__ is not accepted");
    if (error == json::error::too_deep)
        return invalid("the JSON is nested deeper than " + std::to_string(kMaxJsonDepth) +
                       " levels");
    if (error || used != body.size())
        return invalid("malformed JSON at byte " + std::to_string(used));
    return {};
}

}  // namespace

Result<BootRequest> parse_boot_request(std::string_view body, const RequestRules& rules) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
    if (body.empty()) return invalid("the body is empty");
    if (body.size() > kMaxRequestBytes) return invalid("the body is longer than 1 MiB");

    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    json::basic_parser<Handler> parser(options);
    TRY_VOID(scan(parser, body));
    auto& handler = parser.handler();
    if (handler.root_kind != "an object")
        return invalid("the body must be a JSON object, not " + std::string(handler.root_kind));
    for (std::size_t i = 0; i < kMemberCount; ++i)
        TRY_VOID(check_member(kMembers[i], handler.found[i], rules));

    const auto text = [&handler](Index i) { return std::move(handler.found[i].text); };
    return BootRequest{
        .mr_aggregated = text(kMrAggregated),
        .os_image_hash = text(kOsImageHash),
        .app_id = text(kAppId),
        .compose_hash = text(kComposeHash),
        .instance_id = text(kInstanceId),
        .device_id = text(kDeviceId),
        .mr_system = text(kMrSystem),
        .tcb_status = text(kTcbStatus),
        .advisory_ids = std::move(handler.found[kAdvisoryIds].items),
    };
}

}  // namespace auth
