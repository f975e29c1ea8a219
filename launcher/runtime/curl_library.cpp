#include "launcher/runtime/curl_library.hpp"

#include <cstdarg>

// What is defined here must not be seen by the library itself, which has functions of these names.
#pragma GCC visibility push(hidden)
#include <curl/curl.h>
#pragma GCC visibility pop
#include <dlfcn.h>

// Macros that only hand on their arguments.
#undef curl_easy_getinfo
#undef curl_easy_setopt
#undef curl_multi_setopt

namespace runtime {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

struct Functions {
    decltype(&::curl_easy_cleanup) easy_cleanup;
    decltype(&::curl_easy_getinfo) easy_getinfo;
    decltype(&::curl_easy_init) easy_init;
    decltype(&::curl_easy_pause) easy_pause;
    decltype(&::curl_easy_setopt) easy_setopt;
    decltype(&::curl_global_init) global_init;
    decltype(&::curl_multi_add_handle) multi_add_handle;
    decltype(&::curl_multi_cleanup) multi_cleanup;
    decltype(&::curl_multi_info_read) multi_info_read;
    decltype(&::curl_multi_init) multi_init;
    decltype(&::curl_multi_remove_handle) multi_remove_handle;
    decltype(&::curl_multi_setopt) multi_setopt;
    decltype(&::curl_multi_socket_action) multi_socket_action;
    decltype(&::curl_slist_append) slist_append;
    decltype(&::curl_slist_free_all) slist_free_all;
    decltype(&::curl_version_info) version_info;
};
Functions library{};

template <class Function>
bool look_up(void* handle, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    return function != nullptr;
}

bool look_up_all(void* handle) {
    return look_up(handle, "curl_easy_cleanup", library.easy_cleanup) &&
           look_up(handle, "curl_easy_getinfo", library.easy_getinfo) &&
           look_up(handle, "curl_easy_init", library.easy_init) &&
           look_up(handle, "curl_easy_pause", library.easy_pause) &&
           look_up(handle, "curl_easy_setopt", library.easy_setopt) &&
           look_up(handle, "curl_global_init", library.global_init) &&
           look_up(handle, "curl_multi_add_handle", library.multi_add_handle) &&
           look_up(handle, "curl_multi_cleanup", library.multi_cleanup) &&
           look_up(handle, "curl_multi_info_read", library.multi_info_read) &&
           look_up(handle, "curl_multi_init", library.multi_init) &&
           look_up(handle, "curl_multi_remove_handle", library.multi_remove_handle) &&
           look_up(handle, "curl_multi_setopt", library.multi_setopt) &&
           look_up(handle, "curl_multi_socket_action", library.multi_socket_action) &&
           look_up(handle, "curl_slist_append", library.slist_append) &&
           look_up(handle, "curl_slist_free_all", library.slist_free_all) &&
           look_up(handle, "curl_version_info", library.version_info);
}

Result<void> load() {
    void* handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr && look_up_all(handle)) return {};
    const char* reason = ::dlerror();
    return Error{ErrorCode::unavailable,
                 std::string("cannot load ") + kLibrary + ": " +
                     (reason != nullptr ? reason : "a function is missing") + "; install libcurl4"};
}

}  // namespace

Result<void> load_curl() {
    static const Result<void> loaded = load();
    return loaded;
}

}  // namespace runtime

using runtime::library;

extern "C" {

void curl_easy_cleanup(CURL* easy) {
    library.easy_cleanup(easy);
}
CURL* curl_easy_init(void) {
    return library.easy_init();
}
CURLcode curl_easy_pause(CURL* easy, int what) {
    return library.easy_pause(easy, what);
}
CURLcode curl_global_init(long flags) {
    return library.global_init(flags);
}
CURLMcode curl_multi_add_handle(CURLM* multi, CURL* easy) {
    return library.multi_add_handle(multi, easy);
}
CURLMcode curl_multi_cleanup(CURLM* multi) {
    return library.multi_cleanup(multi);
}
CURLMsg* curl_multi_info_read(CURLM* multi, int* left) {
    return library.multi_info_read(multi, left);
}
CURLM* curl_multi_init(void) {
    return library.multi_init();
}
CURLMcode curl_multi_remove_handle(CURLM* multi, CURL* easy) {
    return library.multi_remove_handle(multi, easy);
}
CURLMcode curl_multi_socket_action(CURLM* multi, curl_socket_t socket, int events, int* running) {
    return library.multi_socket_action(multi, socket, events, running);
}
curl_slist* curl_slist_append(curl_slist* list, const char* text) {
    return library.slist_append(list, text);
}
void curl_slist_free_all(curl_slist* list) {
    library.slist_free_all(list);
}
curl_version_info_data* curl_version_info(CURLversion version) {
    return library.version_info(version);
}

// Each takes one more argument: a long, a curl_off_t or a pointer, all of one size and passed
// alike.
static_assert(sizeof(long) == sizeof(void*) && sizeof(curl_off_t) == sizeof(void*));

CURLcode curl_easy_setopt(CURL* easy, CURLoption option, ...) {
    va_list rest;
    va_start(rest, option);
    void* value = va_arg(rest, void*);
    va_end(rest);
    return library.easy_setopt(easy, option, value);
}
CURLcode curl_easy_getinfo(CURL* easy, CURLINFO info, ...) {
    va_list rest;
    va_start(rest, info);
    void* into = va_arg(rest, void*);
    va_end(rest);
    return library.easy_getinfo(easy, info, into);
}
CURLMcode curl_multi_setopt(CURLM* multi, CURLMoption option, ...) {
    va_list rest;
    va_start(rest, option);
    void* value = va_arg(rest, void*);
    va_end(rest);
    return library.multi_setopt(multi, option, value);
}

}  // extern "C"
