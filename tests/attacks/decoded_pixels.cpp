// What the decoder makes of a picture, as a PPM on standard output, for tests/attacks/odd_pixels.sh.
#include <cstdio>

#include "data/codecs/decode.h"
#include "engine/base/error.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: decoded_pixels FILE\n");
    return 2;
  }
  try {
    const gridstep::Image image = gridstep::decode_image(argv[1]);
    fmt::print("P6\n{} {}\n255\n", image.width, image.height);
    const bool written = std::fwrite(image.pixels.data(), 1, image.pixels.size(), stdout) == image.pixels.size();
    return written && std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const gridstep::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return e.exit_code();
  }
}
