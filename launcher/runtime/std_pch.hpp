// Precompiled header of the layers that cannot wait: the standard library and Result. A file still
// names its own includes, so it also compiles without this one.
#pragma once

#include "launcher/runtime/result.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>
