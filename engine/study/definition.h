// A study as its file says it: base settings, grid axes, learning rates, tuning plan.
//
//   [study] [model] [quant] [optim] [schedule] [train] [data] [eval] [run]   the keys of the schema
//   [grid]   key = [values]        any key but study.* and run.* (dotted or nested) becomes an axis
//   [variant.NAME]  key = value    named rows: each is the base with these keys changed, times the grid;
//                   start = "NAME" an earlier variant: each cell starts from the network of that variant's equal cell
//   [rates]  optimizer = rate      the learning rate of each optimizer, used where optim.lr is 0
//   [tune]   how the rates are (to be) found, see Tuning
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/file.h"
#include "engine/study/config.h"

namespace gridstep {

struct Axis {
  std::string key;
  std::vector<Value> values;
  std::string origin;
  friend bool operator==(const Axis& a, const Axis& b) { return a.key == b.key && a.values == b.values; }
};

// One named row: what it changes in the base, and the variant whose trained networks it starts from.
struct Variant {
  std::string name;
  std::vector<std::pair<std::string, Value>> settings;  // (key, value), in the order of the schema
  std::string start;                                    // empty: fresh weights
  std::string origin;
  const Value* find(std::string_view key) const;
  friend bool operator==(const Variant& a, const Variant& b) {
    return a.name == b.name && a.settings == b.settings && a.start == b.start;
  }
};

// The sweep of `--tune`: every optimizer gets the same number of log-spaced rates on seeds no final run uses. While the
// best rate stands on an edge of the range, one more rate is tried beyond it, at most max_extensions times.
struct Tuning {
  bool present = false;                              // the file has a [tune] table
  std::map<std::string, std::vector<double>> rates;  // explicit lists; optimizers without one get the automatic range
  std::int64_t points = 7;                           // rates per optimizer
  std::int64_t points_per_decade = 2;
  std::vector<std::int64_t> seeds = {1000};
  std::int64_t epochs = 0;  // 0: train.epochs
  std::int64_t max_extensions = 3;
  friend bool operator==(const Tuning&, const Tuning&) = default;
};

struct Study {
  Config base;
  std::vector<Axis> axes;         // in the order of the schema, so that names do not depend on the order of a file
  std::vector<Variant> variants;  // in the order of the file; none: the base alone
  std::map<std::string, double> rates;
  Tuning tune;

  const Axis* find_axis(std::string_view key) const;
  const Variant* find_variant(std::string_view name) const;
  // Whether any variant sets the key.
  bool varies(std::string_view key) const;
  void set_axis(Axis axis);  // adds or replaces
  // Adds the variant if there is none of this name, and sets one of its keys, or its start (key "start").
  void set_variant(const std::string& name, std::string_view key, Value value, const std::string& origin);
  void pin(std::string_view key, Value value, std::string origin);  // sets the key for all cells: no axis, no variant
  friend bool operator==(const Study&, const Study&) = default;
};

// `source` names the text in messages. JSON when the first character is '{', else TOML. Throws ConfigError with file
// and line (JSON: the key's path) for syntax, unknown keys (with the nearest match), wrong types and values out of
// range.
Study parse_study(std::string_view text, const std::string& source);
Study load_study(const fs::path& path);

// One `--set` argument, "key=value": a schema key (for all cells: it replaces its axis and what variants say),
// grid.<key>=a,b,c, variant.<name>.<key>=value, rates.<optimizer>=rate or tune.<key>=value.
void apply_set(Study& study, std::string_view assignment);

// The resolved study.toml: parse_study(to_toml(s), "") == s.
std::string to_toml(const Study& study);

// The value of a key that is no axis, under a variant, or, of nullptr, in the base.
const Value& value_under(const Study& study, const Variant* variant, std::string_view key);

// Every optimizer that some cell has, in the order of the study.
std::vector<std::string> optimizers_in_use(const Study& study);

// What makes it this study: every key but those of scope kRun, axes in place of base values, and the rates in use.
std::map<std::string, std::string> study_identity(const Study& study);

}  // namespace gridstep
