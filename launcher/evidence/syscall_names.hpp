/// Names of system calls, and which of them wait on a descriptor. Pure.
#pragma once

#include <string>

namespace launcher::evidence {

/// "futex"; "syscall 999" for one that is not in the table.
std::string syscall_name(long number);
/// Whether the call's first argument is a descriptor.
bool takes_descriptor(long number);
/// Whether its second argument is a buffer that is read into or written from.
bool takes_buffer(long number);
bool is_futex_wait(long number);
/// epoll_wait, poll, select and their kind, by name: where an event loop rests.
bool is_event_wait(const std::string& name);
/// accept and accept4, by name.
bool is_accept(const std::string& name);
/// write and writev, by name.
bool is_write(const std::string& name);

}  // namespace launcher::evidence
