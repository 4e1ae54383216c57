// JPEG files: the header read here, and TurboJPEG behind it. There is no checksum in the way.
#include "tests/fuzz/check_image.h"

GS_FUZZ_TARGET(jpeg) { gridstep::fuzz::check_decoding(input); }
