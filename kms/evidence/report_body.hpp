/// The fixed-size reports inside of a quote, laid over borrowed bytes: each accessor is a view of
/// one field. Numbers are little-endian. Source: spec "attestation" sections 1.3 and 1.4.
#pragma once

#include "launcher/runtime/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace kms {

using runtime::Bytes;
using runtime::ByteView;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

/// Exactly N borrowed bytes.
template <std::size_t N>
using FixedView = std::span<const std::uint8_t, N>;

/// The report of an SGX enclave; also the form of the quoting enclave's own report. Nothing in it
/// is judged here.
class EnclaveReport {
  public:
    static constexpr std::size_t kSize = 384;
    explicit EnclaveReport(FixedView<kSize> bytes) : bytes_(bytes) {}

    FixedView<kSize> bytes() const { return bytes_; }
    FixedView<16> cpu_svn() const { return bytes_.subspan<0, 16>(); }
    std::uint32_t misc_select() const {
        return bytes_[16] | static_cast<std::uint32_t>(bytes_[17]) << 8 |
               static_cast<std::uint32_t>(bytes_[18]) << 16 |
               static_cast<std::uint32_t>(bytes_[19]) << 24;
    }
    FixedView<16> attributes() const { return bytes_.subspan<48, 16>(); }
    bool debug() const { return (bytes_[48] & 2U) != 0; }
    FixedView<32> mr_enclave() const { return bytes_.subspan<64, 32>(); }
    FixedView<32> mr_signer() const { return bytes_.subspan<128, 32>(); }
    std::uint16_t isv_prod_id() const { return u16_at(256); }
    std::uint16_t isv_svn() const { return u16_at(258); }
    FixedView<64> report_data() const { return bytes_.subspan<320, 64>(); }

  private:
    std::uint16_t u16_at(std::size_t at) const {
        return static_cast<std::uint16_t>(bytes_[at] | bytes_[at + 1] << 8);
    }
    FixedView<kSize> bytes_;
};

/// The report of a trust domain, version 1.0 (584 bytes) or 1.5 (648 bytes).
class TdReport {
  public:
    static constexpr std::size_t kSize10 = 584;
    static constexpr std::size_t kSize15 = 648;
    explicit TdReport(FixedView<kSize10> bytes) : bytes_(bytes), has_15_fields_(false) {}
    explicit TdReport(FixedView<kSize15> bytes)
        : bytes_(bytes.first<kSize10>()), has_15_fields_(true) {}

    bool is_version_15() const { return has_15_fields_; }
    ByteView bytes() const { return {bytes_.data(), has_15_fields_ ? kSize15 : kSize10}; }
    /// Byte 0: minor SVN of the TDX module, byte 1: its major version, byte 2: SVN of the SEAM
    /// loader.
    FixedView<16> tee_tcb_svn() const { return bytes_.subspan<0, 16>(); }
    FixedView<48> mr_seam() const { return bytes_.subspan<16, 48>(); }
    FixedView<48> mr_signer_seam() const { return bytes_.subspan<64, 48>(); }
    FixedView<8> seam_attributes() const { return bytes_.subspan<112, 8>(); }
    FixedView<8> td_attributes() const { return bytes_.subspan<120, 8>(); }
    FixedView<8> xfam() const { return bytes_.subspan<128, 8>(); }
    FixedView<48> mr_td() const { return bytes_.subspan<136, 48>(); }
    FixedView<48> mr_config_id() const { return bytes_.subspan<184, 48>(); }
    FixedView<48> mr_owner() const { return bytes_.subspan<232, 48>(); }
    FixedView<48> mr_owner_config() const { return bytes_.subspan<280, 48>(); }
    /// `index` is 0 to 3.
    FixedView<48> rtmr(std::size_t index) const {
        return FixedView<48>(bytes_.data() + 328 + index * 48, 48);
    }
    FixedView<64> report_data() const { return bytes_.subspan<520, 64>(); }
    /// Only of version 1.5.
    FixedView<16> tee_tcb_svn_2() const { return FixedView<16>(bytes_.data() + kSize10, 16); }
    FixedView<48> mr_service_td() const { return FixedView<48>(bytes_.data() + kSize10 + 16, 48); }

  private:
    FixedView<kSize10> bytes_;
    bool has_15_fields_;  // then kSize15 bytes stand behind bytes_
};

}  // namespace kms
