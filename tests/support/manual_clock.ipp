#pragma once

#include <exception>
#include <optional>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>

namespace test {

template <class T>
T run(boost::asio::io_context& io, runtime::Task<T> task) {
    std::exception_ptr failed;
    if constexpr (std::is_void_v<T>) {
        bool done = false;
        boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr error) {
            failed = error;
            done = true;
        });
        io.restart();
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!done && io.run_one_until(limit) != 0) {
        }
        if (!done) throw std::runtime_error("the coroutine did not end");
        if (failed) std::rethrow_exception(failed);
    } else {
        std::optional<T> result;
        boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
            failed = error;
            result = std::move(value);
        });
        io.restart();
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!result && io.run_one_until(limit) != 0) {
        }
        if (!result) throw std::runtime_error("the coroutine did not end");
        if (failed) std::rethrow_exception(failed);
        return std::move(*result);
    }
}

}  // namespace test
