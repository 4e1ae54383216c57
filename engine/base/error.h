// Exceptions of the project. Each class maps to one exit code of the command line (docs/cli.md):
//   Error 1 · ConfigError 2 · DataError 3 · DeviceError 4 · DivergedError 5 · GateError 6 · Interrupted 130
// A message says what is wrong, where (path, key, node), and what to do about it.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gridstep {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  virtual int exit_code() const { return 1; }
};

namespace detail {
template <int Code>
class CodedError : public Error {
 public:
  using Error::Error;
  int exit_code() const override { return Code; }
};
}  // namespace detail

// Wrong usage or configuration, found before anything is computed or written.
class ConfigError : public detail::CodedError<2> {
 public:
  using CodedError::CodedError;
};
// Missing, broken or unsuitable data.
class DataError : public detail::CodedError<3> {
 public:
  using CodedError::CodedError;
};
// No such device, a library it needs is missing, or memory does not suffice.
class DeviceError : public detail::CodedError<4> {
 public:
  using CodedError::CodedError;
};
// Every cell of a study diverged.
class DivergedError : public detail::CodedError<5> {
 public:
  using CodedError::CodedError;
};
// A gate (`verify`, `--strict`) did not hold.
class GateError : public detail::CodedError<6> {
 public:
  using CodedError::CodedError;
};
// Stopped by a signal after a checkpoint was written.
class Interrupted : public detail::CodedError<130> {
 public:
  using CodedError::CodedError;
};

template <class E = Error, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace gridstep

// Throws gridstep::Error with a formatted message unless the condition holds.
#define GS_CHECK(condition, ...)     \
  do {                               \
    if (!(condition)) [[unlikely]]   \
      ::gridstep::fail(__VA_ARGS__); \
  } while (false)
