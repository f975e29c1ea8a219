#include "launcher/runtime/keccak.hpp"

#include <bit>

namespace runtime {
namespace {

// Keccak-f[1600] (FIPS 202 section 3). Lane (x, y) is state[x + 5 * y].
using State = std::array<std::uint64_t, 25>;

constexpr std::size_t kRounds = 24;

constexpr std::array<std::uint64_t, kRounds> kRoundConstants = [] {
    // rc(t) of FIPS 202 section 3.2.5: a shift register of eight bits; bit 2^j - 1 of round i is
    // its output 7 i + j.
    std::array<std::uint64_t, kRounds> constants{};
    unsigned shift_register = 1;
    for (std::uint64_t& constant : constants)
        for (unsigned j = 0; j < 7; ++j) {
            if ((shift_register & 1U) != 0) constant |= std::uint64_t{1} << ((1U << j) - 1);
            shift_register <<= 1;
            if ((shift_register & 0x100U) != 0) shift_register ^= 0x171U;
        }
    return constants;
}();

struct LaneMove {
    std::size_t to;
    int rotation;
};
/// The combined steps rho and pi: where the lanes go, in the order of the walk, and by how much
/// each is rotated.
constexpr std::array<LaneMove, 24> kLaneMoves = [] {
    std::array<LaneMove, 24> moves{};
    std::size_t x = 1;
    std::size_t y = 0;
    for (std::size_t t = 0; t < moves.size(); ++t) {
        const std::size_t next_y = (2 * x + 3 * y) % 5;
        x = y;
        y = next_y;
        moves[t] = {x + 5 * y, static_cast<int>((t + 1) * (t + 2) / 2 % 64)};
    }
    return moves;
}();

/// One round. The loops are unrolled so that every index is a constant and the lanes can live in
/// registers: that makes it four times as fast as the loops that GCC leaves at -O2.
void permute_round(State& state, std::uint64_t round_constant) {
    std::array<std::uint64_t, 5> parity;  // theta
#pragma GCC unroll 5
    for (std::size_t x = 0; x < 5; ++x)
        parity[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
#pragma GCC unroll 5
    for (std::size_t x = 0; x < 5; ++x) {
        const std::uint64_t mix = parity[(x + 4) % 5] ^ std::rotl(parity[(x + 1) % 5], 1);
#pragma GCC unroll 5
        for (std::size_t y = 0; y < 25; y += 5) state[x + y] ^= mix;
    }
    std::uint64_t carried = state[1];  // rho and pi
#pragma GCC unroll 24
    for (const LaneMove& move : kLaneMoves) {
        const std::uint64_t lane = std::rotl(carried, move.rotation);
        carried = state[move.to];
        state[move.to] = lane;
    }
#pragma GCC unroll 5
    for (std::size_t y = 0; y < 25; y += 5) {  // chi
        std::array<std::uint64_t, 5> row;
#pragma GCC unroll 5
        for (std::size_t x = 0; x < 5; ++x) row[x] = state[x + y];
#pragma GCC unroll 5
        for (std::size_t x = 0; x < 5; ++x)
            state[x + y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
    }
    state[0] ^= round_constant;  // iota
}

void permute(State& state) {
    for (const std::uint64_t round_constant : kRoundConstants) permute_round(state, round_constant);
}

void xor_byte(State& state, std::size_t at, std::uint8_t byte) {
    state[at / 8] ^= std::uint64_t{byte} << (8 * (at % 8));
}

template <std::size_t Size>
std::array<std::uint8_t, Size> keccak(std::initializer_list<ByteView> parts) {
    constexpr std::size_t kRate = 200 - 2 * Size;  // bytes absorbed per permutation
    State state{};
    std::size_t filled = 0;
    for (const ByteView part : parts)
        for (const std::uint8_t byte : part) {
            xor_byte(state, filled, byte);
            if (++filled == kRate) {
                permute(state);
                filled = 0;
            }
        }
    xor_byte(state, filled, 0x01);
    xor_byte(state, kRate - 1, 0x80);
    permute(state);

    std::array<std::uint8_t, Size> digest;
    for (std::size_t i = 0; i < digest.size(); ++i)
        digest[i] = static_cast<std::uint8_t>(state[i / 8] >> (8 * (i % 8)));
    return digest;
}

}  // namespace

KeccakHash keccak256(std::initializer_list<ByteView> parts) {
    return keccak<32>(parts);
}
std::array<std::uint8_t, 48> keccak384(std::initializer_list<ByteView> parts) {
    return keccak<48>(parts);
}
std::array<std::uint8_t, 64> keccak512(std::initializer_list<ByteView> parts) {
    return keccak<64>(parts);
}

KeccakHash keccak256(ByteView bytes) {
    return keccak256({bytes});
}

}  // namespace runtime
