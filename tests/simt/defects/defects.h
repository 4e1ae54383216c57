// Kernels with one defect each, and one without: what the harness must find.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace gridstep::test {

// Runs the kernel on inputs of its own; returns whether the result is right.
using Defect = std::function<bool()>;

const std::map<std::string, Defect>& defects();

}  // namespace gridstep::test
