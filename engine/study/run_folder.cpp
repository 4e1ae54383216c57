#include "engine/study/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/names.h"

namespace gridstep {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kStudyFile = "study.toml";
constexpr const char* kEnvironmentFile = "environment.json";
constexpr const char* kLockFile = ".lock";

bool has_entries(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  return !error && entries != fs::directory_iterator();
}

// A result or a checkpoint: what a new study must not overwrite.
bool has_work(const fs::path& cells) {
  std::error_code error;
  for (const auto& cell : fs::directory_iterator(cells, error)) {
    if (fs::exists(cell.path() / "result.json", error) || has_entries(cell.path() / "checkpoints")) return true;
  }
  return false;
}

// Two spellings of one path are no difference between studies.
std::string comparable(const std::string& key, const std::string& text) {
  if ((key != "data.root" && key != "train.init") || text.empty() || text.front() == '[') return text;
  std::error_code error;
  const fs::path path = fs::weakly_canonical(text, error);
  if (error) return text;
  return path.has_filename() ? path.string() : path.parent_path().string();  // "dir/" is "dir"
}

std::vector<std::string> differences(const Study& here, const Study& there) {
  auto wanted = study_identity(here);
  auto stored = study_identity(there);
  for (const auto& [key, text] : stored) wanted.try_emplace(key, "not set");
  std::vector<std::string> found;
  for (const auto& [key, text] : wanted) {
    const std::string old = stored.try_emplace(key, "not set").first->second;
    if (comparable(key, old) != comparable(key, text))
      found.push_back(fmt::format("{} ({} there, {} now)", key, old, text));
  }
  return found;
}

void refuse_foreign_folder(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name == kLockFile || name == kTuneFolder || name.find(".tmp") != std::string::npos;
    if (!ours) {
      fail<ConfigError>("{} is not a run folder: it holds '{}' but no {}. Choose another folder with --out",
                        folder.string(), name, kStudyFile);
    }
  }
}

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder)) {
    fail<ConfigError>("cannot create the run folder {}: {}. Choose another one with --out", folder.string(),
                      error ? error.message() : "a file of that name is in the way");
  }
}

std::string devices_of(const json& environments) {
  std::vector<std::string> devices;
  for (const auto& entry : environments) {
    const auto device = entry.at("device").get<std::string>();
    if (std::find(devices.begin(), devices.end(), device) == devices.end()) devices.push_back(device);
  }
  return join(devices, " + ");
}

json read_json(const fs::path& path) {
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& e) {
    fail<DataError>("{} is damaged ({}). Remove it; --resume then does its part again", path.string(), e.what());
  }
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / kLockFile;
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    fail<ConfigError>("cannot write to the run folder {}: {}. Choose another one with --out", folder.string(),
                      std::strerror(errno));
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int reason = errno;
  ::close(fd_);
  if (reason == EWOULDBLOCK) {
    fail<ConfigError>("{} is in use by another gridstep process. Wait for it, or choose another folder with --out",
                      folder.string());
  }
  log_warn("{} cannot be locked ({}): do not start a second process on it", folder.string(), std::strerror(reason));
  fd_ = -1;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

RunFolder::RunFolder(fs::path folder, Study& study) : path_(std::move(folder)) { look(study); }

void RunFolder::look(Study& study) {
  fresh_ = !has_work(path_ / "cells");
  const fs::path file = path_ / kStudyFile;
  std::error_code error;
  if (!fs::exists(file, error)) {
    refuse_foreign_folder(path_);
    return;
  }
  if (fresh_) return;
  const Study stored = load_study(file);
  const std::string& root = stored.base.get_string("data.root");
  if (study.find_axis("data.root") == nullptr && study.base.get_string("data.root").empty() && !root.empty()) {
    study.base.set("data.root", root, file.string());
  }
  auto found = differences(study, stored);
  if (found.empty()) return;
  const std::size_t total = found.size();
  found.resize(std::min<std::size_t>(total, 6));
  fail<ConfigError>(
      "{} holds another study; these keys differ: {}{}. Choose another folder with --out, or remove this one",
      path_.string(), join(found), total > found.size() ? fmt::format(" and {} more", total - found.size()) : "");
}

std::vector<CellResult> RunFolder::load(const std::vector<Cell>& cells) const {
  std::vector<CellResult> results;
  for (const auto& cell : cells) {
    CellResult result{cell, std::nullopt};
    const fs::path file = path_ / "cells" / cell.name / "result.json";
    std::error_code error;
    if (!fresh_ && fs::exists(file, error)) {
      try {
        result.outcome = outcome_from_json(read_json(file));
      } catch (const json::exception& e) {
        fail<DataError>("{} is damaged ({}). Remove it; --resume then trains the cell again", file.string(), e.what());
      }
    }
    results.push_back(std::move(result));
  }
  return results;
}

std::optional<StudyFacts> RunFolder::load_facts() const {
  const fs::path file = path_ / kEnvironmentFile;
  std::error_code error;
  if (fresh_ || !fs::exists(file, error)) return std::nullopt;
  const json stored = read_json(file);
  StudyFacts facts;
  try {
    facts.protocol = stored.at("protocol").get<std::string>();
    facts.device = devices_of(stored.at("environments"));
    for (const auto& floor : stored.at("floors")) {
      const auto key = floor.at("for").get<std::string>();
      facts.floors[key] = {floor.at("name").get<std::string>(), floor.at("value").get<double>()};
      for (const auto& other : floor.at("references")) {
        facts.references[key].push_back({other.at("name").get<std::string>(), other.at("value").get<double>()});
      }
    }
  } catch (const json::exception& e) {
    fail<DataError>("{} is damaged ({}). Remove it; --resume then writes it again", file.string(), e.what());
  }
  return facts;
}

// One entry per distinct environment that trained cells here, oldest first: a study resumed elsewhere says so.
void RunFolder::write_environment(StudyFacts& facts, CellRunner& runner) const {
  const fs::path file = path_ / kEnvironmentFile;
  std::error_code error;
  ordered_json environments = ordered_json::array();
  if (!fresh_ && fs::exists(file, error)) environments = ordered_json(read_json(file).at("environments"));
  ordered_json current;
  current["device"] = runner.device_name();
  current.update(ordered_json(runner.environment()));
  // Compared without regard to the order of the keys: a stored entry comes back sorted.
  const bool known = std::any_of(environments.begin(), environments.end(),
                                 [&](const ordered_json& entry) { return json(entry) == json(current); });
  if (!known) {
    if (!environments.empty()) {
      log_warn("{}: resumed in another environment than before; {} lists both", path_.string(), kEnvironmentFile);
    }
    environments.push_back(current);
  }
  ordered_json root;
  root["schema"] = 1;
  root["protocol"] = facts.protocol;
  root["floors"] = ordered_json::array();
  for (const auto& [key, floor] : facts.floors) {
    ordered_json entry{{"for", key}, {"name", floor.name}, {"value", floor.value}, {"references", json::array()}};
    const auto more = facts.references.find(key);
    if (more != facts.references.end()) {
      for (const Floor& other : more->second)
        entry["references"].push_back({{"name", other.name}, {"value", other.value}});
    }
    root["floors"].push_back(std::move(entry));
  }
  root["environments"] = environments;
  save(kEnvironmentFile, root.dump(2) + "\n");
  facts.device = devices_of(json(environments));
}

void RunFolder::open(const Study& study, StudyFacts& facts, CellRunner& runner) {
  create_folder(path_);
  lock_.emplace(path_);
  if (lock_->held()) remove_leftovers(path_, path_ / kTuneFolder);  // a tuning has a lock of its own
  const bool was_fresh = fresh_;
  Study again = study;
  look(again);
  if (was_fresh && !fresh_) {
    fail<ConfigError>("{}: another process has just trained here; add --resume to continue its study", path_.string());
  }
  if (fresh_) {
    std::error_code error;
    fs::remove_all(path_ / "cells", error);  // metrics of a start that never reached a checkpoint
    save(kStudyFile, to_toml(study));
  }
  write_environment(facts, runner);
  fresh_ = false;  // what is trained from here on counts
}

void RunFolder::save_outcome(const Study& study, const Cell& cell, const CellOutcome& outcome) const {
  const fs::path folder = path_ / "cells" / cell.name;
  create_folder(folder);
  write_file_atomic(folder / "result.json", outcome_json(study, cell, outcome).dump(2) + "\n");
}

void RunFolder::save(const std::string& name, const std::string& content) const {
  const fs::path file = path_ / name;
  std::error_code error;
  if (fs::exists(file, error) && read_file(file) == content) return;
  write_file_atomic(file, content);
}

}  // namespace gridstep
