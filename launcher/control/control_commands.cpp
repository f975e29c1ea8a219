#include "launcher/control/control_commands.hpp"

#include "launcher/control/health.hpp"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace launcher {
namespace {

namespace json = boost::json;
using runtime::Deadline;
using runtime::ErrorCode;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::Result;
using runtime::Task;

json::string text(std::string_view view) {
    return json::string(view.data(), view.size());
}

HttpServerReply json_reply(unsigned status, std::string body) {
    HttpServerReply reply;
    reply.status = status;
    reply.content_type = "application/json";
    reply.body = std::move(body);
    return reply;
}

HttpServerReply fault(unsigned status, std::string_view sentence) {
    return json_reply(status, json::serialize(json::object{{"error", text(sentence)}}));
}

HttpServerReply wrong_method(const char* allowed) {
    auto reply = fault(405, std::string("this answers to ") + allowed);
    reply.headers.push_back({"Allow", allowed});
    return reply;
}

}  // namespace

bool ControlCommands::knows(const std::string& service) const {
    return std::find(parts_.services.begin(), parts_.services.end(), service) !=
           parts_.services.end();
}

Task<HttpServerReply> ControlCommands::answer(HttpServerRequest request, Deadline deadline) {
    std::string_view path = request.path;
    path.remove_prefix(std::min(kControlPath.size(), path.size()));
    const auto slash = path.find('/');
    const auto command = path.substr(0, slash);
    const auto service = slash == std::string_view::npos
                             ? std::string()
                             : runtime::percent_decode(path.substr(slash + 1));
    const bool get = request.method == "GET";
    if (command != "evidence" && command != "log-level")
        co_return fault(404, "there is no such command; see evidence and log-level");
    if (service.empty() && !get) co_return wrong_method("GET");
    if (!service.empty() && !knows(service) && !(command == "log-level" && service == "launcher"))
        co_return fault(404, "there is no service '" + service + "'");
    if (command == "log-level") {
        if (service.empty())
            co_return json_reply(
                200,
                json::serialize(json::object{{"filter", text(parts_.pipeline.filter_text())}}));
        if (request.method != "PUT") co_return wrong_method("PUT");
        co_return set_filter(service, std::move(request.body), request.peer_uid.value_or(0));
    }
    if (service.empty()) co_return co_await list_evidence(deadline);
    if (get) co_return co_await last_evidence(service, deadline);
    if (request.method == "POST") co_return co_await take_evidence(service, deadline);
    co_return wrong_method("GET, POST");
}

HttpServerReply ControlCommands::set_filter(const std::string& service, std::string wanted,
                                            unsigned user) {
    while (wanted.ends_with('\n')) wanted.pop_back();
    logs::Fields fields;
    fields.emplace_back("service", service);
    fields.emplace_back("uid", std::uint64_t{user});
    if (wanted.empty()) {
        parts_.pipeline.set_service_filter(service, std::nullopt);
        parts_.tell("records of " + service + " pass by the common filter again",
                    std::move(fields));
    } else {
        std::vector<runtime::LogFilterProblem> problems;
        auto filter = runtime::LogFilter::parse(wanted, parts_.syntax, problems);
        if (!problems.empty()) {
            const auto& first = problems.front();
            return fault(400, "filter, column " + std::to_string(first.column) + ": " + first.text +
                                  (first.hint.empty() ? "" : "; " + first.hint));
        }
        parts_.pipeline.set_service_filter(service, std::move(filter));
        fields.emplace_back("filter", wanted);
        parts_.tell("records of " + service + " now pass by the filter '" + wanted + "'",
                    std::move(fields));
    }
    return json_reply(
        200, json::serialize(json::object{{"filter", text(parts_.pipeline.filter_text())}}));
}

Task<HttpServerReply> ControlCommands::list_evidence(Deadline deadline) {
    auto work = [store = parts_.store, services = parts_.services]() -> Result<std::string> {
        json::array list;
        for (const auto& service : services)
            for (const auto& entry : store->list(service))
                list.push_back(
                    json::object{{"id", text(entry.id)},
                                 {"service", text(entry.service)},
                                 {"bytes", entry.bytes},
                                 {"path", entry.path.empty() ? json::value(nullptr)
                                                             : json::value(text(entry.path))}});
        return json::serialize(json::object{{"evidence", std::move(list)}});
    };
    auto listed = co_await parts_.workers.run(parts_.clock, deadline, std::move(work));
    if (!listed) co_return fault(503, listed.error().context);
    co_return json_reply(200, std::move(*listed));
}

Task<HttpServerReply> ControlCommands::last_evidence(std::string service, Deadline deadline) {
    auto work = [store = parts_.store, service = std::move(service)]() -> Result<std::string> {
        return store->last(service);
    };
    auto last = co_await parts_.workers.run(parts_.clock, deadline, std::move(work));
    if (!last)
        co_return fault(last.error().code == ErrorCode::not_found ? 404 : 503,
                        last.error().context);
    co_return json_reply(200, std::move(*last));
}

Task<HttpServerReply> ControlCommands::take_evidence(std::string service, Deadline deadline) {
    const auto outcome = co_await parts_.take_evidence(service, deadline);
    if (!outcome.taken) co_return fault(429, outcome.fault);
    co_return co_await last_evidence(std::move(service), deadline);
}

}  // namespace launcher
