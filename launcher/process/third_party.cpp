// The compiled part of Boost.Process, once.
#include <boost/process/v2/src.hpp>
