#include "kms/evidence/json_writer.hpp"

#include "launcher/runtime/bytes.hpp"

namespace kms {

void append_json_string(std::string& out, std::string_view text) {
    constexpr std::string_view kShort = "\b\t\n\f\r\"\\";
    constexpr std::string_view kLetters = "btnfr\"\\";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<std::uint8_t>(c);
        if (const std::size_t index = kShort.find(c); index != std::string_view::npos) {
            out += '\\';
            out += kLetters[index];
        } else if (byte < 0x20) {
            out += "\\u00" + runtime::to_hex({&byte, 1});
        } else {
            out += c;
        }
    }
    out += '"';
}

}  // namespace kms
