#!/usr/bin/env bash
# Pixels of every file that an EXPECT.tsv says decodes (and of those that may be refused and are not), against libpng's and libjpeg-turbo's
# own decoders: pngtopam (netpbm) and djpeg, brought to 8-bit RGB by the rules of data/codecs/decode.h with netpbm and awk. Then a photo under each
# of the eight EXIF orientations. DECODED_PIXELS is the program of that name in the build folder.
# Needs the Debian packages netpbm and libjpeg-turbo-progs.   usage: odd_pixels.sh DECODED_PIXELS FOLDER
set -euo pipefail
[ $# = 2 ] && [ -x "$1" ] && [ -r "$2/EXPECT.tsv" ] || { echo "usage: odd_pixels.sh DECODED_PIXELS FOLDER (with an EXPECT.tsv)"; exit 2; }
for tool in djpeg jpegexiforient pngtopam pamdepth pamflip pnmtoplainpnm ppmtoppm; do
  command -v $tool > /dev/null || { echo "$tool is missing: apt-get install netpbm libjpeg-turbo-progs"; exit 2; }
done
decoded=$(realpath "$1") folder=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

to_rgb8() { ppmtoppm -quiet | pamdepth -quiet 255; }  # PNM of any kind; pamdepth rounds v * 255 / maxval
samples() { pnmtoplainpnm -quiet | tail -n +4 | tr -s ' ' '\n' | grep .; }  # of a PPM, one a line

# Alpha over white in stored values, each rounded: (v*a + 255*(255-a)) / 255.
png_reference() {
  pngtopam -quiet "$1" | to_rgb8 > "$work/colour"
  pngtopam -quiet -alpha "$1" | to_rgb8 > "$work/alpha"
  samples < "$work/alpha" > "$work/alphas"
  if grep -qvx 255 "$work/alphas"; then
    { printf 'P3\n%s\n255\n' "$(sed -n 2p "$work/colour")"
      paste -d ' ' <(samples < "$work/colour") "$work/alphas" | awk '{ print int(($1 * $2 + 255 * (255 - $2)) / 255 + 0.5) }'
    } | pamdepth -quiet 255
  else
    cat "$work/colour"
  fi
}

# jpegexiforient wants the Exif segment first: a JFIF segment before it is taken away.
orientation() {
  if [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' ')" = ffd8ffe0 ]; then
    { head -c 2 "$1"; tail -c +21 "$1"; } > "$work/bare.jpg"
    jpegexiforient -n "$work/bare.jpg"
  else
    jpegexiforient -n "$1"
  fi
}
upright() {
  case $1 in
    2) pamflip -leftright ;;
    3) pamflip -rotate180 ;;
    4) pamflip -topbottom ;;
    5) pamflip -transpose ;;
    6) pamflip -rotate270 ;;
    7) pamflip -transpose | pamflip -rotate180 ;;
    8) pamflip -rotate90 ;;
    *) cat ;;
  esac
}
jpeg_reference() { djpeg -dct int -pnm "$1" 2> /dev/null | to_rgb8 | upright "$(orientation "$1")"; }

reference() {
  case $(head -c 4 "$1" | od -An -tx1 | tr -d ' ') in
    89504e47) png_reference "$1" ;;
    ffd8*) jpeg_reference "$1" ;;
    *) return 1 ;;
  esac
}

equal=0 different=0
compare() {  # FILE NAME, decoded already
  if ! reference "$1" > "$work/wanted"; then
    echo "no reference: $2"
  elif cmp -s "$work/got" "$work/wanted"; then
    equal=$((equal + 1)); return
  else
    echo "differs: $2: $(sed -n 2p "$work/got" | head -c 20) wanted $(sed -n 2p "$work/wanted" | head -c 20)," \
      "$(cmp -l "$work/got" "$work/wanted" 2> /dev/null | wc -l) bytes"
  fi
  different=$((different + 1))
}

while IFS=$'\t' read -r path expected _; do
  case $expected in decode | either) ;; *) continue ;; esac
  if "$decoded" "$folder/$path" > "$work/got" 2> "$work/log"; then
    cp -- "$folder/$path" "$work/file"  # the tools need not bear its name
    compare "$work/file" "$path"
  elif [ "$expected" = decode ]; then
    echo "refused: $path: $(cat "$work/log")"
    different=$((different + 1))
  fi
done < "$folder/EXPECT.tsv"
echo "$equal files with the tools' pixels, $different not"

files=$equal
photo=$(find "$folder" -name 'pillow_hopper_orientation_6.jpg' | head -n 1)
for turn in 1 2 3 4 5 6 7 8; do
  { head -c 2 "$photo"; tail -c +21 "$photo"; } > "$work/turned.jpg"
  jpegexiforient "-$turn" "$work/turned.jpg" > /dev/null
  "$decoded" "$work/turned.jpg" > "$work/got" 2> "$work/log"
  compare "$work/turned.jpg" "orientation $turn"
done
echo "$((equal - files)) of 8 orientations as pamflip turns them"
[ "$different" = 0 ]
