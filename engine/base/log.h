// Messages for people, on standard error: info, warnings, and one progress line.
// A terminal gets a single updating progress line; anything else gets plain lines, at most one every few seconds.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace gridstep {

void log_line(std::string_view text);
void log_warning(std::string_view text);
// `final` ends the line, so that the next message starts below it.
void log_progress(std::string_view text, bool final = false);
bool log_is_terminal();
void log_set_quiet(bool quiet);  // warnings are still shown

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_warning(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace gridstep
