#include "kms/config/kms_config.hpp"

#include <algorithm>
#include <filesystem>

namespace kms {
namespace {

namespace fs = std::filesystem;
using runtime::ConfigDocument;
using runtime::ConfigProblem;
using runtime::ErrorCode;

constexpr std::size_t kLargestFile = 1024 * 1024;

struct Candidate {
    std::string path;
    bool toml = true;
    bool asked_for = false;  ///< named by -c
};

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

/// A relative path is looked for here, then in each directory above; itself when it is nowhere.
std::string search_upward(const std::string& file, const std::string& from) {
    if (fs::path(file).is_absolute()) return file;
    std::error_code error;
    fs::path directory = fs::absolute(from, error).lexically_normal();
    if (error) return file;
    if (is_there(fs::path(from) / file))
        return from == "." ? file : (fs::path(from) / file).string();
    while (directory.has_relative_path()) {
        directory = directory.parent_path();
        if (is_there(directory / file)) return (directory / file).string();
    }
    return file;
}

std::vector<Candidate> candidates(const ConfigSources& sources) {
    std::vector<Candidate> list;
    for (const std::string& directory : {sources.system_directory, sources.working_directory}) {
        const std::string prefix = directory == "." ? "" : directory + "/";
        list.push_back({prefix + "kms.toml", true});
        list.push_back({prefix + "kms.json", false});
    }
    if (sources.file)
        list.push_back({search_upward(*sources.file, sources.working_directory),
                        sources.file->ends_with(".toml"), true});
    return list;
}

/// A file that is named twice counts where it is named last: merging it before as well would change
/// nothing but report its mistakes twice.
void drop_repeated(std::vector<Candidate>& list) {
    for (std::size_t i = 0; i + 1 < list.size();) {
        const bool repeated =
            std::any_of(list.begin() + static_cast<std::ptrdiff_t>(i) + 1, list.end(),
                        [&](const Candidate& later) {
                            std::error_code ignored;
                            return fs::equivalent(list[i].path, later.path, ignored);
                        });
        if (repeated)
            list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
        else
            ++i;
    }
}

ConfigProblem file_problem(const std::string& path, std::string text, bool warning) {
    ConfigProblem problem;
    problem.file = path;
    problem.text = std::move(text);
    problem.warning = warning;
    return problem;
}

}  // namespace

LoadedConfig load_config(const ConfigSources& sources) {
    LoadedConfig loaded;
    ConfigDocument document;
    auto list = candidates(sources);
    drop_repeated(list);
    for (const Candidate& candidate : list) {
        auto text = runtime::read_file(candidate.path, kLargestFile);
        if (!text) {
            const bool missing = text.error().code == ErrorCode::not_found;
            if (missing && candidate.asked_for)
                loaded.problems.add(file_problem(
                    candidate.path, "there is no such file; going on without it", true));
            else if (!missing)
                loaded.problems.add(
                    file_problem(candidate.path, std::move(text.error().context), false));
            continue;
        }
        loaded.files.push_back(candidate.path);
        if (candidate.toml)
            document.merge_toml(*text, candidate.path, loaded.problems);
        else
            document.merge_json(*text, candidate.path, loaded.problems);
    }
    loaded.config = read_config(document, loaded.problems);
    return loaded;
}

}  // namespace kms
