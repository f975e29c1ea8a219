/// Texts that are secret by their shape. Pure. Source: spec "launcher" section 3.9 rule 2.
#pragma once

#include "launcher/logs/multi_pattern.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace launcher::logs {

enum class RedactionRule : std::uint8_t {
    known_value,      ///< the value of a secret variable
    url_user,         ///< scheme://user:password@
    query_parameter,  ///< ?api_key=…
    authorization,    ///< Authorization: …, Bearer …
    private_key,      ///< a PEM block
    hex_key,          ///< 64 hexadecimal digits after "secret", "seed" and the like
    field_name,       ///< the whole value of a field called "password" and the like
};
inline constexpr std::size_t kRedactionRules = 7;
std::string_view to_string(RedactionRule rule);

struct SecretPlace {
    std::size_t begin = 0, end = 0;
    RedactionRule rule = RedactionRule::known_value;
};

/// Makes `filter` answer yes for every text in which find_shapes() may find a shape with a word in
/// it.
void add_shape_words(WindowFilter& filter);
/// The same for the shapes that have none. False means that find_shapes() finds neither a user, a
/// query parameter nor a hexadecimal key.
bool may_have_shape(std::string_view text);

/// Appends the places to remove from `text`, in no particular order. `name` is that of the field
/// which `text` is the value of, or empty.
void find_shapes(std::string_view name, std::string_view text, std::vector<SecretPlace>& places);

/// Whether a field of this name holds a secret whatever its value looks like.
bool is_secret_field(std::string_view name);

/// Whether a PEM private key begins in `text` and does not end in it.
bool opens_private_key(std::string_view text);
/// The position after the line that ends a PEM block; npos when none does.
std::size_t private_key_end(std::string_view text);

}  // namespace launcher::logs
