// safetensors files whose checksum does not stand in the way.
#pragma once

#include <string>

#include "engine/io/safetensors.h"

namespace gridstep::fuzz {

// The same file without the entry that is checked: its key is misspelt, wherever it stands.
inline std::string without_checksum(std::string file) {
  const std::string key = '"' + std::string(kChecksumKey) + '"';
  for (std::size_t at = file.find(key); at != file.npos; at = file.find(key, at + 1)) file[at + 1] = 'x';
  return file;
}

}  // namespace gridstep::fuzz
