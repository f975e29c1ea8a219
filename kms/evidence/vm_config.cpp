// The VM configuration that a guest was started with: read as a whole, of which the image hash is
// told. Source: spec "attestation" section 5.1.
#include "kms/evidence/app_info.hpp"
#include "kms/evidence/base64.hpp"
#include "kms/evidence/json_reader.hpp"

#include <limits>

namespace kms {
namespace {

enum class Type {
    hash,
    u32,
    u64,
    boolean,
    optional_boolean,
    text,
    optional_text,
    ovmf,
    variant,
    measurement
};

constexpr std::string_view kNames[] = {"os_image_hash",
                                       "cpu_count",
                                       "memory_size",
                                       "qemu_single_pass_add_pages",
                                       "pic",
                                       "qemu_version",
                                       "pci_hole64_size",
                                       "hugepages",
                                       "num_gpus",
                                       "num_nvswitches",
                                       "num_nics",
                                       "num_verity_volumes",
                                       "swtpm",
                                       "hotplug_off",
                                       "image",
                                       "host_share_mode",
                                       "ovmf_variant",
                                       "tdx_attestation_variant",
                                       "tdx_measurement",
                                       "gcp_measurement",
                                       "aws_measurement"};
constexpr Type kTypes[] = {Type::hash,
                           Type::u32,
                           Type::u64,
                           Type::optional_boolean,
                           Type::optional_boolean,
                           Type::optional_text,
                           Type::u64,
                           Type::boolean,
                           Type::u32,
                           Type::u32,
                           Type::u32,
                           Type::u32,
                           Type::boolean,
                           Type::boolean,
                           Type::optional_text,
                           Type::text,
                           Type::ovmf,
                           Type::variant,
                           Type::measurement,
                           Type::measurement,
                           Type::measurement};
static_assert(std::size(kNames) == std::size(kTypes));

Result<void> read_measurement(JsonReader& reader) {
    static constexpr std::string_view kMembers[] = {"checksum_file", "measurement"};
    return read_members(reader, kMembers, first_members(2), [&](std::size_t) -> Result<void> {
        TRY(const std::string_view text, reader.text());
        if (const auto bytes = from_base64(text); !bytes)
            return reader.error(bytes.error().context);
        return {};
    });
}

Result<void> check_value(JsonReader& reader, Type type) {
    const bool is_optional = type == Type::optional_boolean || type == Type::optional_text ||
                             type == Type::ovmf || type == Type::measurement;
    if (is_optional && reader.peek() == JsonReader::Kind::null) return reader.null();
    switch (type) {
        case Type::u32:
            TRY_VOID(reader.unsigned_integer(std::numeric_limits<std::uint32_t>::max()));
            return {};
        case Type::u64:
            TRY_VOID(reader.unsigned_integer(std::numeric_limits<std::uint64_t>::max()));
            return {};
        case Type::boolean:
        case Type::optional_boolean:
            TRY_VOID(reader.boolean());
            return {};
        case Type::ovmf: {
            TRY(const std::string_view text, reader.text());
            if (text != "pre202505")
                return reader.error("unknown variant `" + std::string(text) +
                                    "`, expected `pre202505`");
            return {};
        }
        case Type::variant: {
            TRY(const std::string_view text, reader.text());
            if (text != "legacy" && text != "lite")
                return reader.error("unknown variant `" + std::string(text) +
                                    "`, expected `legacy` or `lite`");
            return {};
        }
        case Type::measurement:
            return read_measurement(reader);
        case Type::hash:
        case Type::text:
        case Type::optional_text:
            TRY_VOID(reader.text());
            return {};
    }
    return {};
}

}  // namespace

Result<Bytes> os_image_hash_of(std::string_view vm_config_json) {
    Bytes hash;
    JsonReader reader(vm_config_json);
    const auto kind = reader.peek();
    if (kind != JsonReader::Kind::object && kind != JsonReader::Kind::array)
        return reader.invalid_type("struct VmConfig").within("Failed to parse vm config");
    auto read = read_members(reader, kNames, 0, [&](std::size_t member) -> Result<void> {
        if (kTypes[member] != Type::hash) return check_value(reader, kTypes[member]);
        TRY(hash, hex_member(reader));
        return {};
    });
    if (read) read = reader.finish();
    if (!read) return std::move(read.error()).within("Failed to parse vm config");
    return hash;
}

}  // namespace kms
