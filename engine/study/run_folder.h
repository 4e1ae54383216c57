// The run folder of a study: whose it is, what is finished in it, and who may write to it.
//
//   study.toml  environment.json  results.json  table.md  .lock  cells/<name>/{result.json, metrics.jsonl,
//   checkpoints/}
//
// Every file is written atomically, so that a kill at any moment leaves a folder that can be resumed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/study/definition.h"
#include "engine/study/results.h"
#include "engine/study/runner.h"

namespace gridstep {

// An exclusive lock on a folder, held until destruction or the end of the process.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder);  // throws ConfigError when another process holds it
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  bool held() const { return fd_ >= 0; }  // false on file systems without locks, of which a warning tells

 private:
  int fd_ = -1;
};

// The run folder of a study's tuning lies in the study's own, and has its own lock.
inline constexpr const char* kTuneFolder = "tune";

class RunFolder {
 public:
  // Looks at the folder and writes nothing. An empty data.root is taken from the folder's study. Throws ConfigError
  // when the folder holds cells of another study (naming the keys that differ) or is no run folder at all.
  RunFolder(fs::path folder, Study& study);

  const fs::path& path() const { return path_; }
  // There is no result and no checkpoint: whatever study.toml says, the folder can be taken.
  bool fresh() const { return fresh_; }

  std::vector<CellResult> load(const std::vector<Cell>& cells) const;  // throws DataError for a damaged result.json
  // Device, protocol and floors of the study trained here; nullopt when there are none.
  std::optional<StudyFacts> load_facts() const;

  // Creates the folder, takes the lock and writes study.toml and environment.json. From here on this process may write.
  // facts.device becomes the list of all devices that trained here.
  // Throws ConfigError when the folder is locked or cannot be written, or was taken since this object looked.
  void open(const Study& study, StudyFacts& facts, CellRunner& runner);
  bool is_open() const { return lock_.has_value(); }

  void save_outcome(const Study& study, const Cell& cell, const CellOutcome& outcome) const;
  // Writes the file unless it has this content already.
  void save(const std::string& name, const std::string& content) const;

 private:
  void look(Study& study);
  void write_environment(StudyFacts& facts, CellRunner& runner) const;

  fs::path path_;
  bool fresh_ = true;
  std::optional<FolderLock> lock_;
};

}  // namespace gridstep
