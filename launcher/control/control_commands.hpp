/// ControlCommands: what a running launcher can be asked to do over its unix socket, on the main
/// thread. Taking evidence and choosing what is logged; nothing here starts, stops or signals a
/// service. Source: spec "launcher" sections 6.4 and 8.4.
///
///   GET  /control/evidence            {"evidence":[{"id","service","bytes","path"}…]}, oldest
///   first GET  /control/evidence/SERVICE    the newest document POST /control/evidence/SERVICE
///   takes evidence now, then the document; 429 when too often GET  /control/log-level
///   {"filter":"info; kms: debug"} PUT  /control/log-level/SERVICE   the body is the filter of that
///   service's records ("launcher"
///                                     too); an empty body gives it the common one again
///
/// Errors are {"error":"…"} with 400, 404, 405, 429 or 503.
#pragma once

#include "launcher/control/supervisor.hpp"
#include "launcher/evidence/store.hpp"
#include "launcher/logs/pipeline.hpp"
#include "launcher/runtime/http_server.hpp"
#include "launcher/runtime/workers.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace launcher {

class ControlCommands {
  public:
    struct Parts {
        runtime::Clock& clock;
        runtime::Workers& workers;
        logs::LogPipeline& pipeline;
        std::shared_ptr<evidence::EvidenceStore> store;
        std::vector<std::string> services;
        runtime::LogFilterSyntax syntax = runtime::LogFilterSyntax::tracing;
        std::function<runtime::Task<EvidenceOutcome>(std::string service, runtime::Deadline)>
            take_evidence;
        /// Tells the log what was changed.
        std::function<void(std::string message, logs::Fields fields)> tell;
    };
    explicit ControlCommands(Parts parts) : parts_(std::move(parts)) {}

    runtime::Task<runtime::HttpServerReply> answer(runtime::HttpServerRequest request,
                                                   runtime::Deadline deadline);

  private:
    runtime::Task<runtime::HttpServerReply> list_evidence(runtime::Deadline deadline);
    runtime::Task<runtime::HttpServerReply> last_evidence(std::string service,
                                                          runtime::Deadline deadline);
    runtime::Task<runtime::HttpServerReply> take_evidence(std::string service,
                                                          runtime::Deadline deadline);
    runtime::HttpServerReply set_filter(const std::string& service, std::string text,
                                        unsigned user);
    bool knows(const std::string& service) const;

    Parts parts_;
};

}  // namespace launcher
