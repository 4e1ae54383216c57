#include "data/check.h"

#include <algorithm>
#include <iterator>

#include "data/batches.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace gridstep {
namespace {

void list_images(const fs::path& folder, CheckReport& report) {
  try {
    for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
      std::error_code error;
      if (it->is_directory(error)) {
        if (it->path().filename().string().starts_with('.')) it.disable_recursion_pending();
      } else if (looks_like_image(it->path())) {
        report.files.push_back({it->path(), {}});
      } else {
        ++report.passed_over;
      }
    }
  } catch (const fs::filesystem_error& e) {
    fail<DataError>("{}: cannot be listed: {}", e.path1().string(), e.code().message());
  }
  std::sort(report.files.begin(), report.files.end(),
            [](const CheckedFile& a, const CheckedFile& b) { return a.path.native() < b.path.native(); });
}

// 0 for what will be refused by its header.
std::int64_t pixels_to_decode(const fs::path& path, std::int64_t max_pixels) {
  try {
    const std::int64_t pixels = probe_image(path).pixels();
    return pixels <= max_pixels ? pixels : 0;
  } catch (const DataError&) {
    return 0;
  }
}

std::string fault_of(const fs::path& path, std::int64_t max_pixels) {
  try {
    decode_image_bytes(map_source_file(path).bytes(), {max_pixels, 0});
    return {};
  } catch (const DataError& e) {
    return e.what();
  }
}

}  // namespace

std::vector<CheckedFile> CheckReport::bad() const {
  std::vector<CheckedFile> result;
  std::copy_if(files.begin(), files.end(), std::back_inserter(result), [](const auto& f) { return !f.fault.empty(); });
  return result;
}

bool CheckReport::ok() const { return !files.empty() && bad().empty(); }

CheckReport check_path(const fs::path& path, std::int64_t max_pixels) {
  CheckReport report;
  std::error_code error;
  if (!fs::exists(path, error)) fail<DataError>("{}: no such file or folder", path.string());
  if (fs::is_directory(path, error))
    list_images(path, report);
  else
    report.files.push_back({path, {}});

  std::vector<std::int64_t> pixels;
  for (const CheckedFile& file : report.files) pixels.push_back(pixels_to_decode(file.path, max_pixels));
  const std::size_t n = report.files.size();
  run_in_batches(
      pixels, [&](std::size_t i) { report.files[i].fault = fault_of(report.files[i].path, max_pixels); },
      [&](std::size_t i) {
        if (n > 1) log_progress(fmt::format("checked {} of {} pictures", i + 1, n), i + 1 == n);
      });
  return report;
}

}  // namespace gridstep
