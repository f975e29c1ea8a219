#include "kms/evidence/sgx_extension.hpp"

#include "kms/crypto/der.hpp"

#include <algorithm>
#include <optional>

namespace kms {
namespace {

namespace der = crypto::der;
using der::Peeler;

// 1.2.840.113741.1.13.1, and the same with one or two more numbers.
constexpr std::uint8_t kExtensionOid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
enum Member : std::uint8_t { kPpid = 1, kTcb = 2, kPceId = 3, kFmspc = 4, kSgxType = 5 };
enum TcbMember : std::uint8_t { kPceSvn = 17, kCpuSvn = 18 };
constexpr std::uint8_t kEnumerated = 0x0a;

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

/// The number that follows the extension's OID in one of its members', if it is one.
std::optional<std::uint8_t> number_after(ByteView oid, ByteView prefix) {
    if (oid.size() != prefix.size() + 1 || !std::ranges::equal(oid.first(prefix.size()), prefix))
        return std::nullopt;
    return oid.back() < 0x80 ? std::optional(oid.back()) : std::nullopt;
}

struct Entry {
    ByteView oid;
    Peeler value;
};

Result<Entry> take_entry(Peeler& list) {
    TRY(const ByteView content, list.take(der::kSequence));
    Peeler entry(content);
    TRY(const ByteView oid, entry.take(der::kOid));
    return Entry{oid, entry};
}

/// The value of a member that may come once.
template <class T>
Result<void> set_once(std::optional<T>& slot, Result<T> value, std::string_view name) {
    if (!value) return std::move(value.error()).within(name);
    if (slot) return bad(std::string(name) + " occurs twice");
    slot = std::move(*value);
    return {};
}

template <class T>
Result<T> required(const std::optional<T>& slot, std::string_view name) {
    if (!slot) return bad(std::string(name) + " is missing");
    return *slot;
}

/// One byte, or two in big-endian order; the sign of DER plays no role.
Result<std::uint16_t> small_number(Peeler& value, std::uint8_t identifier) {
    TRY(const ByteView content, value.take(identifier));
    if (content.empty() || content.size() > 2) return bad("not a number of one or two bytes");
    std::uint16_t number = 0;
    for (const std::uint8_t byte : content) number = static_cast<std::uint16_t>(number << 8 | byte);
    return number;
}

struct Tcb {
    std::optional<ByteView> cpu_svn;
    std::optional<std::uint16_t> pce_svn;
};

Result<Tcb> read_tcb(ByteView content) {
    constexpr std::uint8_t kPrefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, kTcb};
    Tcb tcb;
    Peeler list(content);
    while (!list.at_end()) {
        TRY(Entry entry, take_entry(list));
        const auto number = number_after(entry.oid, kPrefix);
        if (number == kPceSvn) {
            TRY_VOID(set_once(tcb.pce_svn, small_number(entry.value, der::kInteger), "PCESVN"));
        } else if (number == kCpuSvn) {
            TRY_VOID(set_once(tcb.cpu_svn, entry.value.take(der::kOctetString), "CPUSVN"));
        }
    }
    return tcb;
}

}  // namespace

ByteView sgx_extension_oid() {
    return kExtensionOid;
}

Result<SgxExtension> parse_sgx_extension(ByteView der_bytes) {
    std::optional<ByteView> ppid;
    std::optional<ByteView> tcb_list;
    std::optional<ByteView> pce_id;
    std::optional<ByteView> fmspc;
    std::optional<std::uint16_t> sgx_type;
    Peeler outer(der_bytes);
    TRY(const ByteView content, outer.take(der::kSequence));
    if (!outer.at_end()) return bad("bytes after the SGX extension");
    Peeler list(content);
    while (!list.at_end()) {
        TRY(Entry entry, take_entry(list));
        const auto number = number_after(entry.oid, kExtensionOid);
        switch (number.value_or(0)) {
            case kPpid:
                TRY_VOID(set_once(ppid, entry.value.take(der::kOctetString), "PPID"));
                break;
            case kTcb:
                TRY_VOID(set_once(tcb_list, entry.value.take(der::kSequence), "TCB"));
                break;
            case kPceId:
                TRY_VOID(set_once(pce_id, entry.value.take(der::kOctetString), "PCEID"));
                break;
            case kFmspc:
                TRY_VOID(set_once(fmspc, entry.value.take(der::kOctetString), "FMSPC"));
                break;
            case kSgxType:
                TRY_VOID(set_once(sgx_type, small_number(entry.value, kEnumerated), "SGX type"));
                break;
            default:
                break;  // the instance id, flags, and what may come later
        }
    }

    SgxExtension extension;
    TRY(const ByteView ppid_value, required(ppid, "PPID"));
    extension.ppid.assign(ppid_value.begin(), ppid_value.end());
    TRY(const ByteView tcb_value, required(tcb_list, "TCB"));
    TRY(const Tcb tcb, read_tcb(tcb_value));
    TRY(const ByteView cpu_svn, required(tcb.cpu_svn, "CPUSVN"));
    if (cpu_svn.size() != extension.cpu_svn.size()) return bad("CPUSVN length mismatch");
    std::ranges::copy(cpu_svn, extension.cpu_svn.begin());
    TRY(extension.pce_svn, required(tcb.pce_svn, "PCESVN"));
    TRY(const ByteView pce_id_value, required(pce_id, "PCEID"));
    if (pce_id_value.size() != extension.pce_id.size()) return bad("PCEID length mismatch");
    std::ranges::copy(pce_id_value, extension.pce_id.begin());
    TRY(const ByteView fmspc_value, required(fmspc, "FMSPC"));
    if (fmspc_value.size() != extension.fmspc.size()) return bad("Fmspc length mismatch");
    std::ranges::copy(fmspc_value, extension.fmspc.begin());
    TRY(extension.sgx_type, required(sgx_type, "SGX type"));
    return extension;
}

}  // namespace kms
