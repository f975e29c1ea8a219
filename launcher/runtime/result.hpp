/// Result<T>: a value or an Error. The one way in which functions of this project report failure.
///
/// Exceptions mean a bug or a failed start; they are caught in main() and at the end of a session.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

namespace runtime {

/// One value per *reaction* of the caller; what happened in detail is text.
enum class ErrorCode {
    invalid_argument,    ///< the caller must change what it sent or configured
    unauthenticated,     ///< the caller did not prove who it is, or is not allowed
    not_found,           ///< the thing asked for does not exist
    unavailable,         ///< a dependency failed; the same call may work later
    deadline_exceeded,   ///< time ran out; says nothing about what happened at the other end
    resource_exhausted,  ///< a bound of ours was reached
    internal,            ///< a bug, or the machine is broken
};

std::string_view constexpr to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument:
            return "invalid argument";
        case ErrorCode::unauthenticated:
            return "unauthenticated";
        case ErrorCode::not_found:
            return "not found";
        case ErrorCode::unavailable:
            return "unavailable";
        case ErrorCode::deadline_exceeded:
            return "deadline exceeded";
        case ErrorCode::resource_exhausted:
            return "resource exhausted";
        case ErrorCode::internal:
            return "internal";
    }
    return "unknown";
}

/// A failure: the code is for machines, the context for people. The context grows on the way up:
/// "cannot load keys: cannot read 'root-ca.key': Permission denied". It never holds a secret.
struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string context;

    /// The same error with "what: " in front of its context.
    Error within(std::string_view what) && {
        context.insert(0, ": ").insert(0, what);
        return std::move(*this);
    }
};

/// A value of type T or an Error. Default-constructed it holds an internal error, because Asio
/// default-constructs results on its exception path and T need not be able to.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  public:
    using Base = tl::expected<T, Error>;
    Result() : Base(tl::unexpect, Error{ErrorCode::internal, "no result"}) {}
    Result(Error error) : Base(tl::unexpect, std::move(error)) {}
    template <class U = T>
        requires(std::is_constructible_v<T, U> && !std::is_same_v<std::decay_t<U>, Result> &&
                 !std::is_same_v<std::decay_t<U>, Error>)
    Result(U&& value) : Base(std::forward<U>(value)) {}

    /// The same result; an error gets "what: " in front of its context.
    Result within(std::string_view what) && {
        if (!this->has_value()) this->error() = std::move(this->error()).within(what);
        return std::move(*this);
    }
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
  public:
    using Base = tl::expected<void, Error>;
    Result() = default;
    Result(Error error) : Base(tl::unexpect, std::move(error)) {}
    Result within(std::string_view what) && {
        if (!has_value()) error() = std::move(error()).within(what);
        return std::move(*this);
    }
};

}  // namespace runtime

#define RUNTIME_CONCAT_(a, b) a##b
#define RUNTIME_CONCAT(a, b) RUNTIME_CONCAT_(a, b)
#define RUNTIME_TRY(result, return_, declaration, ...)          \
    auto result = (__VA_ARGS__);                                \
    if (!result.has_value()) return_ std::move(result.error()); \
    declaration = std::move(*result)

/// TRY(auto x, f()): x is f()'s value; an error is returned from the enclosing function.
#define TRY(declaration, ...) \
    RUNTIME_TRY(RUNTIME_CONCAT(try_result_, __LINE__), return, declaration, __VA_ARGS__)
/// CO_TRY(auto x, co_await f()): the same inside a coroutine. A statement, because GCC 12 crashes
/// on a statement expression around co_await (GCC PR 115851).
#define CO_TRY(declaration, ...) \
    RUNTIME_TRY(RUNTIME_CONCAT(try_result_, __LINE__), co_return, declaration, __VA_ARGS__)

#define RUNTIME_CHECK(result, return_, ...) \
    if (auto result = (__VA_ARGS__); !result.has_value()) return_ std::move(result.error())
/// TRY_VOID(f()): returns f()'s error from the enclosing function, if there is one.
#define TRY_VOID(...) RUNTIME_CHECK(RUNTIME_CONCAT(try_result_, __LINE__), return, __VA_ARGS__)
/// CO_TRY_VOID(co_await f()): the same inside a coroutine.
#define CO_TRY_VOID(...) \
    RUNTIME_CHECK(RUNTIME_CONCAT(try_result_, __LINE__), co_return, __VA_ARGS__)
