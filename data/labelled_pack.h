// A pack of labelled images: a framed file (data/framed_file.h) with the magic "GSLABEL\n" and one block, the pixels
// u8 (images, side, side, 3). Its index has the layout, the class names, the labels and the files left out.
#pragma once

#include <vector>

#include "data/framed_file.h"
#include "data/labelled.h"

namespace gridstep {

inline constexpr std::uint32_t kLabelledPackVersion = 1;

// Streams a pack into a sink: add() in the order of the images, then finish() once.
class LabelledPackWriter {
 public:
  explicit LabelledPackWriter(Sink sink);

  void add(ImageView image, std::int32_t label);  // (side, side, 3)
  // The side, layout, class names and skipped files of `images`.
  void finish(const LabelledImages& images);

 private:
  FramedWriter file_;
  std::vector<std::int32_t> labels_;
};

// The images of a pack, mapped. Throws DataError naming the file and the fault; Error when it cannot be opened.
LabelledImages read_labelled_pack(const fs::path& path);

}  // namespace gridstep
