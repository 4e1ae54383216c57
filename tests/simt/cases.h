// Which kernels of the product have been launched, and how often.
#pragma once

#include <map>
#include <string>

namespace simt {

void count_launch(const void* kernel);

// Launches of every kernel that kernels/**/*_cuda.cu, optim/*_cuda.cu and the headers below kernels/ define, by its
// name: "op:kernel", where op_cuda.cu has it, instances of a template together. A kernel that no test launched, or that
// this program does not even have, counts 0.
std::map<std::string, unsigned long> cases_of_product(const std::string& root);

}  // namespace simt
