// Any bytes as MessagePack: every value can be passed over, and the typed readers take no more than
// is there.
#include "kms/evidence/msgpack.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using kms::msgpack::Reader;
    Reader reader({data, size});
    while (reader.left() > 0) {
        Reader bytes = reader;
        if (const auto read = bytes.bytes(); read && read->size() > size) std::abort();
        Reader text = reader;
        (void)text.text();
        Reader number = reader;
        if (const auto read = number.unsigned_integer(255); read && *read > 255) std::abort();
        const std::size_t before = reader.left();
        if (!reader.skip()) return 0;
        if (reader.left() >= before) std::abort();
    }
    return 0;
}
