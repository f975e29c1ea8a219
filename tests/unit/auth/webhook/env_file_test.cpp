#include "auth/webhook/env_file.hpp"

#include <catch2/catch.hpp>

using auth::Environment;

namespace {

Environment variables(std::string_view text, Environment before = {}) {
    runtime::ConfigProblems problems;
    auth::add_env_file(text, "file.env", before, problems);
    CHECK(problems.to_string().empty());
    return before;
}

}  // namespace

TEST_CASE("the lines of an environment file") {
    struct Row {
        std::string line;
        std::string value;
    };
    const std::vector<Row> table = {
        {"A=b", "b"},
        {"  A = b c \t", "b c"},
        {"export A=b", "b"},
        {"A=b\r", "b"},
        {"A=", ""},
        {"A=''", ""},
        {"A=\"b c\"", "b c"},
        {"A='b # c' # d", "b # c"},
        {"A=`b`", "b"},
        {"A=b # c", "b"},
        {"A=# c", ""},
        {"A=https://eth.example/v2/k=1#top", "https://eth.example/v2/k=1#top"},
        {"A=b'c", "b'c"},
        {"A=first\nA=second", "second"},
        {"\xEF\xBB\xBF# a comment\n\n  # another\nA=b\n", "b"},
    };
    for (const auto& row : table) {
        INFO(row.line);
        CHECK(variables(row.line) == Environment{{"A", row.value}});
    }
    CHECK(variables("").empty());
    CHECK(variables("\n\n#A=b").empty());
    CHECK(variables("PORT=1\nHOST=2") == Environment{{"HOST", "2"}, {"PORT", "1"}});
}

TEST_CASE("the process's own variables win, even empty ones") {
    CHECK(variables("A=file\nB=file\nC=file", {{"A", "own"}, {"B", ""}}) ==
          Environment{{"A", "own"}, {"B", ""}, {"C", "file"}});
}

TEST_CASE("lines of another form are told without what they say") {
    for (const std::string line :
         {"secret-words", "=secret-words", "A B=secret-words", "A='secret-words",
          "A='b' secret-words", "export", "A\xC3\xA9=secret-words"}) {
        INFO(line);
        Environment environment;
        runtime::ConfigProblems problems;
        auth::add_env_file("X=1\n" + line + "\nY=2\n", "file.env", environment, problems);
        CHECK(environment == Environment{{"X", "1"}, {"Y", "2"}});
        CHECK(
            problems.to_string() ==
            "file.env:2:1: warning: this line is not of the form NAME=VALUE, and is passed over\n");
        CHECK_FALSE(problems.has_errors());
    }
}
