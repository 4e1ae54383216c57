// Names a user can type: the nearest match for a misspelt one, and lists for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gridstep {

// The candidate closest to `name` by edit distance; empty when none is within a third of its length (at least 2 edits).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

// "a, b, c"
std::string join(const std::vector<std::string>& items, std::string_view separator = ", ");

// The items between separators, without the blanks around them.
std::vector<std::string> split(std::string_view text, char separator);

// " (did you mean 'x'?)" or an empty string.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace gridstep
