/// What the subcommands are given: arguments and files.
#pragma once

#include "kms/verify/verify.hpp"

#include <optional>
#include <span>
#include <string>

namespace kms::cli {

struct Input {
    Bytes content;  ///< of the file to look at: hex text is decoded, anything else is as it is
    std::optional<Collateral> collateral;
    TrustAnchor anchor = TrustAnchor::intel();
    UnixSeconds at = 0;
    std::string vm_config;
    std::string pccs;            ///< base URL of a server; empty = nothing is fetched
    std::string pccs_ca_file;    ///< whom it is trusted by; empty = the system's roots
    std::string collateral_out;  ///< where what was fetched is written to; may be empty
    bool as_json = false;
    bool help = false;
};

/// Reads `FILE [--collateral FILE | --pccs URL [--pccs-ca-file FILE] [--collateral-out FILE]]
/// [--root FILE] [--at UNIX_SECONDS] [--vm-config FILE] [--json]` and the files. `--at` is now when
/// it is not given. Errors (invalid_argument, not_found) are sentences.
Result<Input> read_input(std::span<char*> words);

/// Fetches what this quote is judged by, if a server was given; waits at most a minute. Errors are
/// sentences.
Result<void> fetch_collateral_of(Input& input, ByteView quote);

/// A JSON object or a readable text, line by line, from the same facts.
class Report {
  public:
    void section(std::string_view name);  ///< only in the text
    void text(std::string_view name, std::string_view value);
    void number(std::string_view name, std::int64_t value);
    void hex(std::string_view name, ByteView value);
    void texts(std::string_view name, std::span<const std::string> values);
    /// A value that is JSON already; as it is in the text, too.
    void json(std::string_view name, std::string_view value);

    /// The results of all stages.
    void checks(std::string_view json, std::string_view readable) { put("checks", json, readable); }

    std::string take(bool as_json) &&;

  private:
    void put(std::string_view name, std::string_view json_value, std::string_view text_value);
    std::string json_;
    std::string text_;
};

/// "verdict", "stage", "reason", "tcb_status", "advisory_ids", and each stage with its result.
void report_verdict(Report& report, const Verdict<QuoteReport>& verdict, bool had_collateral);
/// Fields of a quote.
void report_quote(Report& report, const Quote& quote);

/// Prints to standard output, or the error to standard error; returns the exit status for it.
void print(std::string_view text);
int fail(std::string_view program, const Error& error);

}  // namespace kms::cli
