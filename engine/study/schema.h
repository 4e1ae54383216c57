// The one table of all configuration keys: type, default, allowed values, scope and help.
// Parsing, `--set`, grid axes, cell names, populations, the identity of a run folder and `gridstep study --keys` read
// it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gridstep {

enum class KeyType { kInt, kFloat, kString, kBool, kList };

enum class KeyScope {
  kStudy,         // describes the study as a whole; never a grid axis
  kArchitecture,  // equal for all replicas of one program
  kReplica,       // may differ between the replicas of one program
  kRun,           // how to run, not what to compute: never a grid axis, not part of a study's identity
};

enum class Task { kSuperResolution, kClassification };

// monostate: unset, which means "the chosen optimizer's own default". A list holds integers.
using Value = std::variant<std::monostate, std::int64_t, double, std::string, bool, std::vector<std::int64_t>>;

struct KeyRange {
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
  bool lo_open = false;
  bool hi_open = false;
};

struct KeyInfo {
  std::string name;  // dotted, as in "quant.weight_bits"
  KeyType type = KeyType::kInt;
  Value fallback;                    // the default; monostate where the optimizer decides
  KeyRange range;                    // numbers, and the elements of a list
  std::vector<std::int64_t> extra;   // integers allowed besides the range
  std::vector<std::string> choices;  // strings; empty: any text
  KeyScope scope = KeyScope::kArchitecture;
  std::string tag;   // prefix in cell names ("w" gives w4); empty: the value alone
  std::string help;  // one line

  bool per_replica() const { return scope == KeyScope::kReplica; }
  bool can_be_axis() const { return per_replica() || scope == KeyScope::kArchitecture; }
  std::string_view leaf() const;  // "weight_bits"
  std::string allowed() const;    // "2..8 or 32", "lsq, none", for messages
};

const std::vector<KeyInfo>& schema();
const KeyInfo* find_key(std::string_view name);  // nullptr when there is no such key
// Where the key stands in schema(); throws Error for a name that is none (a mistake in the program, not of the user).
std::size_t key_index(std::string_view name);
std::vector<std::string> key_names();
// " (did you mean 'optim.lr'?)" or empty; also finds a key whose table was left out.
std::string suggest_key(std::string_view name);

// Throws ConfigError "<origin>: <key> = <value>: ..." unless the value has the key's type and lies in its range. Whole
// numbers are taken for float keys.
Value checked_value(const KeyInfo& key, Value value, std::string_view origin);
// The same from text as a user types it on a command line: 8, 1e-3, true, lsq, [2,4].
Value parse_value(const KeyInfo& key, std::string_view text, std::string_view origin);

// As people read it: shortest digits that give the same number back, strings bare, lists in brackets, "unset".
std::string value_text(const Value& value);
// As TOML spells it; throws Error for an unset value.
std::string value_toml(const Value& value);

}  // namespace gridstep
