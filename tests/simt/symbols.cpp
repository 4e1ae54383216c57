#include "symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>

namespace simt {
namespace {

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

// "void gridstep::(anonymous namespace)::k<int>(int*)": k
std::string bare_name(std::string full) {
  constexpr const char* kAnonymous = "(anonymous namespace)::";
  for (std::size_t at; (at = full.find(kAnonymous)) != std::string::npos;) full.erase(at, std::strlen(kAnonymous));
  full.resize(std::min({full.find('<'), full.find('('), full.size()}));
  const std::size_t before = full.find_last_of(": ");
  return before == std::string::npos ? full : full.substr(before + 1);
}

std::uintptr_t load_address() {
  std::uintptr_t base = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
        return 1;  // the program itself comes first
      },
      &base);
  return base;
}

template <class T>
const T* at(const std::vector<char>& image, std::size_t offset) {
  return reinterpret_cast<const T*>(image.data() + offset);
}

std::map<std::uintptr_t, Symbol> read_functions() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
  const std::uintptr_t base = load_address();
  std::map<std::uintptr_t, Symbol> functions;
  const auto* const header = at<ElfW(Ehdr)>(image, 0);
  const auto* const sections = at<ElfW(Shdr)>(image, header->e_shoff);
  for (int s = 0; s < header->e_shnum; ++s) {
    if (sections[s].sh_type != SHT_SYMTAB) continue;
    const char* const names = image.data() + sections[sections[s].sh_link].sh_offset;
    const auto* const symbols = at<ElfW(Sym)>(image, sections[s].sh_offset);
    std::string source;
    for (std::size_t i = 0; i < sections[s].sh_size / sizeof *symbols; ++i) {
      const ElfW(Sym)& symbol = symbols[i];
      const char* const name = names + symbol.st_name;
      const int type = symbol.st_info & 0xf;
      if (type == STT_FILE) source = name;
      if (type != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      const bool local = symbol.st_info >> 4 == STB_LOCAL;
      functions[base + symbol.st_value] = {"", local ? source : "", name};
    }
  }
  return functions;
}

// Names are made readable when the first is asked for.
const std::map<std::uintptr_t, Symbol>& functions() {
  static const auto all = [] {
    auto read = read_functions();
    for (auto& [address, symbol] : read) {
      symbol.full = demangled(symbol.full.c_str());
      symbol.name = bare_name(symbol.full);
    }
    return read;
  }();
  return all;
}

}  // namespace

const Symbol& kernel_at(const void* address) {
  static const Symbol unknown{"?", "", "?"};
  const auto found = functions().find(reinterpret_cast<std::uintptr_t>(address));
  return found == functions().end() ? unknown : found->second;
}

std::map<const void*, const Symbol*> functions_named(const std::vector<std::string>& names) {
  std::map<const void*, const Symbol*> found;
  for (const auto& [address, symbol] : functions()) {
    if (std::find(names.begin(), names.end(), symbol.name) == names.end()) continue;
    found[reinterpret_cast<const void*>(address)] = &symbol;
  }
  return found;
}

}  // namespace simt
