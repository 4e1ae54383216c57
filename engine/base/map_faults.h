// What happens when a mapped file is cut short, or its disk fails, while it is read: the system raises SIGBUS. The
// handler names the file on standard error and ends the process with the exit code of DataError; nothing is written, so
// what was saved before stays as it was. A SIGBUS of another cause keeps its default action.
#pragma once

#include <cstddef>
#include <string>

namespace gridstep {

void install_map_fault_handler();

// Where a file is mapped, for the handler to find. At most a few hundred at a time; of more the handler knows nothing.
void note_mapping(const void* begin, std::size_t size, const std::string& path);
void forget_mapping(const void* begin);

}  // namespace gridstep
