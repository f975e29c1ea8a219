/// The disk as the key directory sees it.
#pragma once

#include "launcher/runtime/file_system.hpp"

namespace kms::keys {

using runtime::FileSystem;
using runtime::PosixFileSystem;

}  // namespace kms::keys
