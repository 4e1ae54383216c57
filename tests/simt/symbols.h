// Names of kernels, from the symbol table of the program itself.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace simt {

// A function, or an instance of a template.
struct Symbol {
  std::string name;  // without namespaces, parameters and template arguments
  std::string file;  // the source, without its folder; empty for a function that several sources may share
  std::string full;  // as the compiler would write it
};

// The function that begins at `address`; a name of "?" where the table has none.
const Symbol& kernel_at(const void* address);

// Every function whose name is among `names`, by its address.
std::map<const void*, const Symbol*> functions_named(const std::vector<std::string>& names);

}  // namespace simt
