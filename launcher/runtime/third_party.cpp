// The compiled parts of header-only libraries, once for all programs: Asio and Beast. Boost.Process
// is in launcher/process, the only user.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
