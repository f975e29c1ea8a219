#pragma once

#include "launcher/runtime/pch.hpp"

#include <sstream>

#include <catch2/catch.hpp>
