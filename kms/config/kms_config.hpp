/// The configuration of dstack-kms: one plain struct with upstream's keys and defaults, and how it
/// is read from files. Source: spec "kms-protocol" section 8.
#pragma once

#include "launcher/runtime/config.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kms {

/// Where a listener binds. `address` is an IP, an IP with a port, or "unix:" and a path.
struct ListenConfig {
    std::string address = "0.0.0.0";
    std::uint16_t port = 8000;

    /// As HttpServer::listen() takes it: "0.0.0.0:8000", "[::]:8000", "unix:/run/kms.sock".
    std::string to_string() const;
};

/// Files of the main listener; relative ones belong to the working directory.
struct TlsConfig {
    std::string key = "/etc/kms/certs/rpc.key";
    std::string certs = "/etc/kms/certs/rpc.crt";
    std::string mutual_ca_certs = "/etc/kms/certs/tmp-ca.crt";
    bool mutual_mandatory = false;
};

struct ImageConfig {
    bool verify = true;
    std::string cache_dir = "/usr/share/dstack/images";
    std::string download_url = "http://localhost:8000/{OS_IMAGE_HASH}.tar.gz";
    std::optional<std::chrono::milliseconds> download_timeout{
        std::chrono::minutes(2)};  ///< none = "never"
};

enum class AuthApiType {
    webhook,  ///< every decision is asked of the authorisation service
    dev,      ///< everybody is allowed; for development
    none,     ///< nobody is asked; see KmsConfig::none_allow_all
};

struct OnboardConfig {
    bool enabled = true;
    std::string auto_bootstrap_domain;  ///< makes keys for this domain at the first start, without
                                        ///< asking anybody
    bool quote_enabled = true;
    /// A KMS that keys are fetched from must prove itself and be allowed by the authorisation
    /// service. Only together with quote_enabled.
    bool verify_source = true;
    ListenConfig listen;
};

/// Every bound of ours, under [core.bounds]. Each names the span or the number that it limits.
struct BoundsConfig {
    std::chrono::milliseconds handshake{10'000};    ///< TLS handshake
    std::chrono::milliseconds first_byte{15'000};   ///< handshake → first byte of the first request
    std::chrono::milliseconds head{15'000};         ///< first byte → end of a request's head
    std::chrono::milliseconds body{60'000};         ///< end of the head → end of the body
    std::uint64_t body_rate = 16 * 1024;            ///< bytes per second that buy a body more time
    std::uint64_t bodies_size = 256 * 1024 * 1024;  ///< bytes of all bodies at a time
    std::chrono::milliseconds handler{60'000};      ///< complete request → answer
    std::chrono::milliseconds write{30'000};        ///< first → last byte of the answer
    std::chrono::milliseconds idle{15'000};         ///< last answer → next request
    std::uint64_t head_size = 192 * 1024;           ///< bytes of a request's head
    std::uint64_t connections = 4096;               ///< open at a time
    std::chrono::milliseconds give_way{100};        ///< how long a connection waits for its request
                                              ///< undisturbed when there are so many; 0 = ever
    std::uint64_t streams = 100;          ///< HTTP/2: open on one connection at a time
    std::uint64_t stream_resets = 200;    ///< HTTP/2: at once, and again in ten seconds
    std::uint64_t control_frames = 1000;  ///< HTTP/2: likewise, frames without a request
    std::chrono::milliseconds tls_session{43'200'000};  ///< life of a session that can be resumed
    std::uint64_t tls_sessions = 1024;                  ///< kept for clients without tickets
    std::uint64_t connections_per_address =
        0;  ///< open at a time from one address; 0 = as `connections`
    /// Being handled at a time. Twice what sixteen HTTP/2 clients of sixteen streams take while
    /// they all wait for the same facts, so that a newcomer still finds a place.
    std::uint64_t requests = 512;
    std::chrono::milliseconds webhook_connect{1'000};  ///< connecting to the authorisation service
    std::chrono::milliseconds webhook_info{4'000};     ///< one exchange that asks for its facts
    std::chrono::milliseconds webhook_decision{10'000};  ///< one exchange that asks for a decision
    std::uint64_t webhook_decisions = 64;                ///< decisions being asked for at a time
    std::chrono::milliseconds verification{30'000};      ///< verifying one quote
    std::uint64_t verifications = 64;                    ///< quotes being verified at a time
    std::chrono::milliseconds image_check{60'000};       ///< checking one operating system image
    std::chrono::milliseconds guest_agent{10'000};       ///< one exchange with the guest agent
    std::uint64_t guest_agent_calls = 8;                 ///< exchanges with it at a time
    std::chrono::milliseconds guest_agent_retry{5'000};  ///< until a failed certificate refresh is
                                                         ///< tried again
    std::chrono::milliseconds source_connect{5'000};     ///< connecting to a KMS that has the keys
    std::chrono::milliseconds source{60'000};            ///< one exchange with it
    std::chrono::milliseconds onboarding{180'000};       ///< one Bootstrap or Onboard, all in all
    std::chrono::milliseconds facts_fresh{
        200};  ///< age up to which GetMeta passes chain facts on unasked
    std::chrono::milliseconds facts_settled{
        1'000};  ///< age up to which it refreshes them behind the answer
    std::chrono::milliseconds facts_wait{40};  ///< how long it waits for fresher facts beyond that
    std::chrono::milliseconds stop{5'000};     ///< signal → end of the process
};

/// Whom quotes are trusted by, under [core.attestation].
struct AttestationConfig {
    std::optional<std::string> pccs_url;  ///< urls.pccs: wins over core.pccs_url
    std::string tdx_root;                 ///< root_ca.tdx: a file; empty = Intel's root
    bool external_anchors = false;        ///< insecure_allow_external_trust_anchors
    std::string
        pccs_ca_file;  ///< whom the server of collateral is trusted by; empty = the system's
    std::optional<std::string> collateral_dir;  ///< none = "collateral" in cert_dir; empty = memory
};

struct KmsConfig {
    ListenConfig rpc;
    TlsConfig tls;
    std::map<std::string, std::uint64_t> body_limits;  ///< rpc.limits: method in lower case → bytes
    std::string ident = "Rocket";                      ///< the Server header; empty = none
    bool keep_alive = true;

    std::string cert_dir = "/etc/kms/certs";
    std::string admin_token_hash;  ///< SHA-256, raw; empty = no token fits
    std::optional<std::string> pccs_url;
    AttestationConfig attestation;
    std::string site_name;
    ImageConfig image;
    AuthApiType auth_api = AuthApiType::webhook;
    std::string webhook_url = "http://auth-api:8000";
    std::string dev_gateway_app_id = "any";
    bool none_allow_all = false;  ///< auth_api.none.allow = "all": keys without asking anybody
    bool enforce_self_authorization = false;  ///< key requests ask about this KMS itself, too
    bool sev_snp_key_release = false;
    bool aws_nitro_tpm_key_release = false;
    OnboardConfig onboard;
    bool metrics_enabled = true;
    BoundsConfig bounds;
};

/// Where configuration files are looked for.
struct ConfigSources {
    std::string system_directory = "/etc/kms";  ///< kms.toml, then kms.json
    std::string working_directory = ".";        ///< the same names
    std::optional<std::string>
        file;  ///< of -c; JSON unless it ends in .toml; relative ones are searched upward
};

struct LoadedConfig {
    KmsConfig config;
    std::vector<std::string> files;  ///< that were read, lowest precedence first
    runtime::ConfigProblems
        problems;  ///< all mistakes; unknown keys and a missing -c file are warnings
};

/// Reads and merges the files. Mistakes are in `problems`; a key with a mistake keeps its default.
LoadedConfig load_config(const ConfigSources& sources);
/// The struct from a merged document. Pure.
KmsConfig read_config(runtime::ConfigDocument& document, runtime::ConfigProblems& problems);

/// The configuration as TOML with every key written out; secrets read <redacted>. Pure.
std::string to_toml(const KmsConfig& config);

}  // namespace kms
