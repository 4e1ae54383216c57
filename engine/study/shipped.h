// The studies compiled into the program from apps/studies/*.toml; the build generates the definitions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gridstep {

std::optional<std::string_view> shipped_study(std::string_view name);  // the text of <name>.toml
std::vector<std::string> shipped_study_names();                        // sorted

}  // namespace gridstep
