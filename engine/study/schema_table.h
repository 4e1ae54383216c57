// The rows behind schema(): adding a key is one row here.
#pragma once

#include <vector>

#include "engine/study/schema.h"

namespace gridstep::detail {

std::vector<KeyInfo> schema_table();

}  // namespace gridstep::detail
