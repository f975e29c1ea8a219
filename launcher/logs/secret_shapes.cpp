#include "launcher/logs/secret_shapes.hpp"

#include "launcher/logs/characters.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace launcher::logs {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr std::size_t kKeyDigits = 64;
constexpr std::string_view kPemBegin = "-----BEGIN ";
constexpr std::string_view kPemEnd = "-----END ";
constexpr std::string_view kPemDashes = "-----";

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
}
constexpr std::array<bool, 256> kHexDigits = [] {
    std::array<bool, 256> table{};
    for (std::size_t c = 0; c < 256; ++c) {
        table[c] = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    }
    return table;
}();
bool is_hex(char c) {
    return kHexDigits[static_cast<unsigned char>(c)];
}
bool ends_value(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '"' || c == '\'' || c == '<' ||
           c == '>' || c == '`' || c == '\\';
}

bool equal_fold(std::string_view text, std::string_view lower_case) {
    return text.size() == lower_case.size() &&
           std::equal(text.begin(), text.end(), lower_case.begin(),
                      [](char a, char b) { return lower(a) == b; });
}

/// Calls `found(position)` for every place where `word` (lower case) occurs, case aside.
template <class Found>
void for_each_word(std::string_view text, std::string_view word, Found found) {
    if (text.size() < word.size()) return;
    for (std::size_t i = 0; i + word.size() <= text.size(); ++i) {
        if (lower(text[i]) == word[0] && equal_fold(text.substr(i, word.size()), word)) found(i);
    }
}

std::size_t value_end(std::string_view text, std::size_t at) {
    while (at < text.size() && !ends_value(text[at])) ++at;
    return at;
}

/// The place of "user:password" when the '@' at `at` ends one.
bool user_before(std::string_view text, std::size_t at, std::size_t& begin) {
    constexpr std::size_t kMaxUser = 256;
    for (std::size_t i = at; i > 2 && at - i <= kMaxUser; --i) {
        const char c = text[i - 1];
        if (c == '/') {
            begin = i;
            return i < at && text[i - 2] == '/' && text[i - 3] == ':';
        }
        if (ends_value(c)) return false;
    }
    return false;
}

bool is_secret_parameter(std::string_view name) {
    static constexpr std::array<std::string_view, 11> kNames = {
        "key",    "token",    "access_token", "auth",    "sig",    "signature",
        "secret", "password", "apikey",       "api_key", "api-key"};
    return std::any_of(kNames.begin(), kNames.end(),
                       [name](std::string_view known) { return equal_fold(name, known); });
}

/// The value of the query parameter whose '?' or '&' stands at `at`, when it is a secret one.
bool parameter_after(std::string_view text, std::size_t at, SecretPlace& place) {
    constexpr std::size_t kMaxName = 16;
    const std::string_view rest = text.substr(at + 1, kMaxName);
    const std::size_t equals = rest.find('=');
    if (equals == kNone || !is_secret_parameter(rest.substr(0, equals))) return false;
    place.begin = at + 1 + equals + 1;
    place.end = place.begin;
    while (place.end < text.size() && !ends_value(text[place.end]) && text[place.end] != '&' &&
           text[place.end] != '#') {
        ++place.end;
    }
    place.rule = RedactionRule::query_parameter;
    return place.end > place.begin;
}

/// Whether a name says that what follows is a private key. "sk" counts only as a word of its own.
bool names_key(std::string_view name) {
    bool found = false;
    for (const std::string_view word : {"private", "secret", "seed", "mnemonic"}) {
        for_each_word(name, word, [&found](std::size_t) { found = true; });
    }
    for (std::string_view left = name; !found && !left.empty();) {
        const std::size_t end = std::min(left.find_first_of("_-."), left.size());
        found = equal_fold(left.substr(0, end), "sk");
        left.remove_prefix(std::min(end + 1, left.size()));
    }
    return found;
}

/// The last name in front of `text`'s end, separators aside. Takes it, and what follows it, off
/// `text`.
std::string_view last_name(std::string_view& text) {
    const auto in_name = [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; };
    const auto separates = [](char c) {
        return c == ' ' || c == ':' || c == '=' || c == '"' || c == '\'' || c == '\\';
    };
    std::size_t end = text.size();
    while (end > 0 && text.size() - end < 8 && separates(text[end - 1])) --end;
    std::size_t begin = end;
    while (begin > 0 && end - begin < 64 && in_name(text[begin - 1])) --begin;
    const std::string_view name = text.substr(begin, end - begin);
    text = text.substr(0, begin);
    return name;
}

/// Whether the text in front of a hexadecimal number makes it a key: "seed: 0x", "private key is ".
bool key_follows(std::string_view before, std::string_view field_name) {
    if (before.ends_with("0x") || before.ends_with("0X")) before.remove_suffix(2);
    if (before.empty()) return names_key(field_name);
    std::string_view name = last_name(before);
    for (int words = 0; words < 2 && (equal_fold(name, "is") || equal_fold(name, "key")); ++words) {
        name = last_name(before);
    }
    return !name.empty() && names_key(name);
}

/// Calls `found(begin, end)` for every run of exactly 64 hexadecimal digits. Looks at every 32nd
/// byte first: a run of that length holds two of them in a row.
template <class Found>
void for_each_key_run(std::string_view text, Found found) {
    constexpr std::size_t kStep = kKeyDigits / 2;
    for (std::size_t i = kStep - 1; i + kStep < text.size(); i += kStep) {
        if (!is_hex(text[i]) || !is_hex(text[i + kStep])) continue;
        std::size_t begin = i, end = i + 1;
        while (begin > 0 && is_hex(text[begin - 1])) --begin;
        while (end < text.size() && is_hex(text[end])) ++end;
        if (end - begin == kKeyDigits) found(begin, end);
        while (i + kStep < end) i += kStep;  // the next sample lies behind this run
    }
}

void find_authorization(std::string_view text, std::vector<SecretPlace>& places) {
    const auto is_scheme = [](std::string_view word) {
        return equal_fold(word, "basic") || equal_fold(word, "bearer") ||
               equal_fold(word, "digest") || equal_fold(word, "token") ||
               equal_fold(word, "negotiate") || equal_fold(word, "apikey");
    };
    constexpr std::string_view kHeader = "authorization";
    for_each_word(text, kHeader, [&](std::size_t found) {
        std::size_t at = found + kHeader.size();
        const std::size_t separator = at;
        bool named = false;
        while (at < text.size() && at - separator < 8) {
            const char c = text[at];
            if (c != ':' && c != '=' && c != ' ' && c != '"' && c != '\\' && c != '\'') break;
            named |= c == ':' || c == '=';
            ++at;
        }
        if (!named) return;
        std::size_t end = value_end(text, at);
        if (is_scheme(text.substr(at, end - at)) && end + 1 < text.size() && text[end] == ' ') {
            const bool list = equal_fold(text.substr(at, end - at), "digest");
            at = end + 1;
            // Digest's parameters are a list with quotes in it: everything to the end of the line
            // goes.
            end = list ? std::min(text.find('\n', at), text.size()) : value_end(text, at);
        }
        if (end > at) places.push_back({at, end, RedactionRule::authorization});
    });
    constexpr std::string_view kBearer = "bearer ";
    for_each_word(text, kBearer, [&](std::size_t found) {
        if (found > 0 && is_alnum(text[found - 1])) return;
        std::size_t at = found + kBearer.size();
        while (at < text.size() && text[at] == ' ') ++at;
        const std::size_t end = value_end(text, at);
        if (end > at) places.push_back({at, end, RedactionRule::authorization});
    });
}

/// The position of a PEM private key's first line at or after `from`; kNone when there is none.
std::size_t private_key_begin(std::string_view text, std::size_t from) {
    constexpr std::size_t kMaxLabel = 64;
    while ((from = text.find(kPemBegin, from)) != kNone) {
        const std::string_view label = text.substr(from + kPemBegin.size(), kMaxLabel);
        const std::size_t dashes = label.find(kPemDashes);
        if (label.substr(0, dashes).find("PRIVATE KEY") != kNone) return from;
        from += kPemBegin.size();
    }
    return kNone;
}

void find_private_keys(std::string_view text, std::vector<SecretPlace>& places) {
    for (std::size_t begin = private_key_begin(text, 0); begin != kNone;) {
        const std::size_t size = private_key_end(text.substr(begin));
        const std::size_t end = size == kNone ? text.size() : begin + size;
        places.push_back({begin, end, RedactionRule::private_key});
        begin = private_key_begin(text, end);
    }
}

}  // namespace

std::string_view to_string(RedactionRule rule) {
    switch (rule) {
        case RedactionRule::known_value:
            return "known_value";
        case RedactionRule::url_user:
            return "url_user";
        case RedactionRule::query_parameter:
            return "query_parameter";
        case RedactionRule::authorization:
            return "authorization";
        case RedactionRule::private_key:
            return "private_key";
        case RedactionRule::hex_key:
            return "hex_key";
        case RedactionRule::field_name:
            return "field_name";
    }
    return "known_value";
}

bool is_secret_field(std::string_view name) {
    static constexpr std::array<std::string_view, 14> kNames = {
        "authorization", "proxyauthorization",
        "password",      "passwd",
        "passphrase",    "secret",
        "token",         "accesstoken",
        "refreshtoken",  "authtoken",
        "apikey",        "clientsecret",
        "mnemonic",      "privatekey"};
    if (const std::size_t dot = name.rfind('.'); dot != kNone) name = name.substr(dot + 1);
    std::array<char, 24> bare;
    std::size_t size = 0;
    for (const char c : name) {
        if (c == '_' || c == '-') continue;
        if (size == bare.size()) return false;
        bare[size++] = lower(c);
    }
    return std::find(kNames.begin(), kNames.end(), std::string_view(bare.data(), size)) !=
           kNames.end();
}

void add_shape_words(WindowFilter& filter) {
    // Of each word the six letters by which it differs most from harmless ones: "author" is in
    // "authority".
    for (const std::string_view word :
         {"rizati", "bearer", "vate k", "vate_k", "vate-k", "vateke", "passwd", "passwo", "passph",
          "secret", "token=", "token\"", "token\\", "mnemon", "api_ke", "api-ke", "apikey"}) {
        filter.add(word);
    }
}

bool may_have_shape(std::string_view text) {
    if (text.empty()) return false;
    SecretPlace place;
    for (std::size_t at = find_url_mark(text, 0); at < text.size();
         at = find_url_mark(text, at + 1)) {
        if (text[at] == '@' ? user_before(text, at, place.begin) : parameter_after(text, at, place))
            return true;
    }
    bool key = false;
    for_each_key_run(text, [&](std::size_t run, std::size_t) {
        key = key || key_follows(text.substr(0, run), "sk");
    });
    return key;
}

void find_shapes(std::string_view name, std::string_view text, std::vector<SecretPlace>& places) {
    if (!name.empty() && is_secret_field(name)) {
        if (!text.empty()) places.push_back({0, text.size(), RedactionRule::field_name});
        return;
    }
    for (std::size_t at = find_url_mark(text, 0); at < text.size();
         at = find_url_mark(text, at + 1)) {
        SecretPlace place{0, at, RedactionRule::url_user};
        if (text[at] == '@' ? user_before(text, at, place.begin)
                            : parameter_after(text, at, place)) {
            places.push_back(place);
        }
    }
    for_each_key_run(text, [&](std::size_t begin, std::size_t end) {
        if (key_follows(text.substr(0, begin), name))
            places.push_back({begin, end, RedactionRule::hex_key});
    });
    find_authorization(text, places);
    find_private_keys(text, places);
}

bool opens_private_key(std::string_view text) {
    std::size_t begin = private_key_begin(text, 0);
    while (begin != kNone) {
        const std::size_t size = private_key_end(text.substr(begin));
        if (size == kNone) return true;
        begin = private_key_begin(text, begin + size);
    }
    return false;
}

std::size_t private_key_end(std::string_view text) {
    const std::size_t found = text.find(kPemEnd);
    if (found == kNone) return kNone;
    const std::size_t dashes = text.find(kPemDashes, found + kPemEnd.size());
    if (dashes == kNone) return text.size();
    return dashes + kPemDashes.size();
}

}  // namespace launcher::logs
