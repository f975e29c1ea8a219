#include "kms/verify/tcb_info.hpp"

#include "kms/evidence/json_reader.hpp"

#include <algorithm>
#include <compare>
#include <limits>

namespace kms {
namespace {

using Names = std::string_view[];

/// Reads the input's own text of a string: members that are compared or decoded later. One with
/// escapes would have to be copied; none of Intel's has any.
Result<std::string_view> plain_text(JsonReader& reader) {
    TRY(std::string_view raw, reader.raw_value());
    if (raw.size() < 2 || raw.front() != '"') return reader.error("expected a string");
    raw = raw.substr(1, raw.size() - 2);
    if (raw.find('\\') != std::string_view::npos)
        return reader.error("an escape where none is expected");
    return raw;
}

template <class T>
Result<void> number_into(T& field, JsonReader& reader) {
    TRY(const std::uint64_t value, reader.unsigned_integer(std::numeric_limits<T>::max()));
    field = static_cast<T>(value);
    return {};
}

Result<void> text_into(std::string_view& field, JsonReader& reader) {
    TRY(field, plain_text(reader));
    return {};
}

template <std::size_t N>
Result<void> hex_into(std::array<std::uint8_t, N>& field, JsonReader& reader) {
    TRY(const Bytes bytes, hex_member(reader));
    if (bytes.size() != N) return reader.error("expected hex of " + std::to_string(N) + " bytes");
    std::ranges::copy(bytes, field.begin());
    return {};
}

Result<void> skip_text(JsonReader& reader) {
    TRY_VOID(reader.text());
    return {};
}

template <class ReadItem>
Result<void> for_each_item(JsonReader& reader, ReadItem&& read) {
    TRY_VOID(reader.enter_array());
    for (;;) {
        TRY(const bool more, reader.next());
        if (!more) return {};
        TRY_VOID(read());
    }
}

Result<void> read_status(TcbVerdictText& verdict, JsonReader& reader) {
    TRY(const std::string_view text, reader.text());
    const auto status = tcb_status_of(text);
    if (!status) return reader.error("unknown variant `" + std::string(text) + "`");
    verdict.status = *status;
    return {};
}

Result<void> read_advisories(TcbVerdictText& verdict, JsonReader& reader) {
    JsonReader start = reader;
    TRY_VOID(for_each_item(reader, [&] { return skip_text(reader); }));
    TRY(verdict.advisory_ids_json, start.raw_value());
    return {};
}

Result<void> read_components(ComponentSvns& components, JsonReader& reader) {
    static constexpr Names kNames = {"svn"};
    return for_each_item(reader, [&]() -> Result<void> {
        std::uint8_t svn = 0;
        TRY_VOID(read_members(reader, kNames, first_members(1),
                              [&](std::size_t) { return number_into(svn, reader); }));
        if (components.count < components.svn.size()) components.svn[components.count] = svn;
        ++components.count;
        return {};
    });
}

Result<void> read_level(TcbLevel& level, JsonReader& reader) {
    static constexpr Names kNames = {"tcb", "tcbDate", "tcbStatus", "advisoryIDs"};
    static constexpr Names kTcbNames = {"sgxtcbcomponents", "pcesvn", "tdxtcbcomponents"};
    return read_members(reader, kNames, first_members(3), [&](std::size_t member) -> Result<void> {
        switch (member) {
            case 0:
                return read_members(
                    reader, kTcbNames, first_members(2), [&](std::size_t part) -> Result<void> {
                        if (part == 1) return number_into(level.pce_svn, reader);
                        return read_components(part == 0 ? level.sgx : level.tdx, reader);
                    });
            case 1:
                return skip_text(reader);
            case 2:
                return read_status(level.verdict, reader);
            default:
                return read_advisories(level.verdict, reader);
        }
    });
}

/// `largest` bounds the SVN: 8 bits of a module, 16 of an enclave.
Result<void> read_svn_levels(std::vector<SvnLevel>& levels, std::uint16_t largest,
                             JsonReader& reader) {
    static constexpr Names kNames = {"tcb", "tcbDate", "tcbStatus", "advisoryIDs"};
    static constexpr Names kTcbNames = {"isvsvn"};
    return for_each_item(reader, [&]() -> Result<void> {
        SvnLevel level;
        TRY_VOID(
            read_members(reader, kNames, first_members(3), [&](std::size_t member) -> Result<void> {
                switch (member) {
                    case 0:
                        return read_members(
                            reader, kTcbNames, first_members(1), [&](std::size_t) -> Result<void> {
                                TRY(const std::uint64_t svn, reader.unsigned_integer(largest));
                                level.isv_svn = static_cast<std::uint16_t>(svn);
                                return {};
                            });
                    case 1:
                        return skip_text(reader);
                    case 2:
                        return read_status(level.verdict, reader);
                    default:
                        return read_advisories(level.verdict, reader);
                }
            }));
        levels.push_back(level);
        return {};
    });
}

/// tdxModule has the members of an identity except its id and levels.
Result<void> read_module(TdxModule& module, bool is_identity, JsonReader& reader) {
    static constexpr Names kNames = {"mrsigner", "attributes", "attributesMask", "id", "tcbLevels"};
    const std::size_t members = is_identity ? 5 : 3;
    return read_members(reader, std::span(kNames).first(members),
                        first_members(static_cast<unsigned>(members)),
                        [&](std::size_t member) -> Result<void> {
                            switch (member) {
                                case 0:
                                    return text_into(module.mr_signer, reader);
                                case 1:
                                    return text_into(module.attributes, reader);
                                case 2:
                                    return text_into(module.attributes_mask, reader);
                                case 3:
                                    return text_into(module.id, reader);
                                default:
                                    return read_svn_levels(module.levels, 0xff, reader);
                            }
                        });
}

Result<void> read_tcb_info(TcbInfo& info, JsonReader& reader) {
    static constexpr Names kNames = {"id",
                                     "version",
                                     "issueDate",
                                     "nextUpdate",
                                     "fmspc",
                                     "pceId",
                                     "tcbType",
                                     "tcbEvaluationDataNumber",
                                     "tcbLevels",
                                     "tdxModule",
                                     "tdxModuleIdentities"};
    return read_members(reader, kNames, first_members(9), [&](std::size_t member) -> Result<void> {
        std::uint32_t unused = 0;
        switch (member) {
            case 0:
                return text_into(info.id, reader);
            case 1:
                return number_into(info.version, reader);
            case 2:
                return text_into(info.dates.issued_text, reader);
            case 3:
                return text_into(info.dates.next_update_text, reader);
            case 4:
                return text_into(info.fmspc, reader);
            case 5:
                return skip_text(reader);
            case 6:
            case 7:
                return number_into(unused, reader);
            case 8:
                info.levels.reserve(24);
                return for_each_item(
                    reader, [&] { return read_level(info.levels.emplace_back(), reader); });
            case 9:
                if (reader.peek() == JsonReader::Kind::null) return reader.null();
                return read_module(info.module.emplace(), false, reader);
            default:
                return for_each_item(reader, [&] {
                    return read_module(info.module_identities.emplace_back(), true, reader);
                });
        }
    });
}

Result<void> read_qe_identity(QeIdentity& identity, JsonReader& reader) {
    static constexpr Names kNames = {
        "id",         "version",        "issueDate",  "nextUpdate",     "tcbEvaluationDataNumber",
        "miscselect", "miscselectMask", "attributes", "attributesMask", "mrsigner",
        "isvprodid",  "tcbLevels"};
    return read_members(reader, kNames, first_members(12), [&](std::size_t member) -> Result<void> {
        std::uint32_t unused = 0;
        switch (member) {
            case 0:
                return text_into(identity.id, reader);
            case 1:
                return number_into(identity.version, reader);
            case 2:
                return text_into(identity.dates.issued_text, reader);
            case 3:
                return text_into(identity.dates.next_update_text, reader);
            case 4:
                return number_into(unused, reader);
            case 5:
                return hex_into(identity.misc_select, reader);
            case 6:
                return hex_into(identity.misc_select_mask, reader);
            case 7:
                return hex_into(identity.attributes, reader);
            case 8:
                return hex_into(identity.attributes_mask, reader);
            case 9:
                return hex_into(identity.mr_signer, reader);
            case 10:
                return number_into(identity.isv_prod_id, reader);
            default:
                return read_svn_levels(identity.levels, 0xffff, reader);
        }
    });
}

std::strong_ordering order_of(const ComponentSvns& a, const ComponentSvns& b) {
    const auto listed = [](const ComponentSvns& c) {
        return std::span(c.svn).first(std::min(c.count, c.svn.size()));
    };
    const auto left = listed(a);
    const auto right = listed(b);
    const auto order = std::lexicographical_compare_three_way(left.begin(), left.end(),
                                                              right.begin(), right.end());
    return order != 0 ? order : a.count <=> b.count;
}

}  // namespace

TcbState TcbVerdictText::state() const {
    TcbState state{.status = status, .advisory_ids = {}};
    if (advisory_ids_json.empty()) return state;
    JsonReader reader(advisory_ids_json);
    // It was found well-formed before, so that nothing can go wrong here.
    (void)for_each_item(reader, [&]() -> Result<void> {
        TRY(const std::string_view id, reader.text());
        state.advisory_ids.emplace_back(id);
        return {};
    });
    return state;
}

void TcbInfo::sort_levels() {
    const bool by_tdx = is_tdx();
    const auto greater = [by_tdx](const TcbLevel& a, const TcbLevel& b) {
        if (const auto order = order_of(a.sgx, b.sgx); order != 0) return order > 0;
        if (a.pce_svn != b.pce_svn) return a.pce_svn > b.pce_svn;
        return by_tdx && order_of(a.tdx, b.tdx) > 0;
    };
    // Insertion sort: stable, without memory of its own, and Intel sends them sorted.
    for (std::size_t i = 1; i < levels.size(); ++i)
        for (std::size_t at = i; at > 0 && greater(levels[at], levels[at - 1]); --at)
            std::swap(levels[at], levels[at - 1]);
}

Result<TcbInfo> parse_tcb_info(std::string_view json) {
    TcbInfo info;
    JsonReader reader(json);
    TRY_VOID(read_tcb_info(info, reader));
    TRY_VOID(reader.finish());
    return info;
}

Result<QeIdentity> parse_qe_identity(std::string_view json) {
    QeIdentity identity;
    JsonReader reader(json);
    TRY_VOID(read_qe_identity(identity, reader));
    TRY_VOID(reader.finish());
    return identity;
}

}  // namespace kms
