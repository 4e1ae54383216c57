// One complete setting of all keys of the schema, each with its origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/study/schema.h"

namespace gridstep {

// A Config always holds every key. Reading a key that does not exist, or with the wrong type, throws Error: that is a
// mistake in the program. Setting one checks name, type and range and throws ConfigError: that is the user's.
// In the config of a cell (grid.h) optim.lr is resolved and positive.
class Config {
 public:
  Config();  // all defaults

  std::int64_t get_int(std::string_view key) const;
  double get_float(std::string_view key) const;
  const std::string& get_string(std::string_view key) const;
  bool get_bool(std::string_view key) const;
  const std::vector<std::int64_t>& get_list(std::string_view key) const;

  // nullopt when the key is unset, which leaves the value to the optimizer (optim.* hyper-parameters).
  std::optional<double> find_float(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;

  const Value& value(std::string_view key) const;
  std::string text(std::string_view key) const;           // as people read it
  const std::string& origin(std::string_view key) const;  // "default", "file.toml:12", "--set", "[rates]", "[grid]"
  bool is_explicit(std::string_view key) const;           // someone chose it, whatever the value

  void set(std::string_view key, Value value, std::string origin);
  void set_text(std::string_view key, std::string_view text, std::string origin);

  // Values only; origins do not count.
  friend bool operator==(const Config& a, const Config& b) { return a.values_ == b.values_; }

 private:
  std::vector<Value> values_;         // (schema().size())
  std::vector<std::string> origins_;  // (schema().size())
};

// All set keys but those of `without` as TOML tables in the order of the schema.
std::string to_toml(const Config& config, const std::vector<std::string>& without = {});

// What the network is trained for: by model.name.
Task task_of(const Config& config);
// study.metric, or what its "auto" stands for: "psnr_y" or "top1".
std::string metric_of(const Config& config);

// A heading for people: "W8A8 lsq", "W2A4 lsq ternary", "float".
std::string bits_text(const Config& config);

}  // namespace gridstep
