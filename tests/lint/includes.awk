# Dependencies point one way. For each layer: the layers it may include besides itself (engine/X is a layer of its own).
BEGIN {
  core = " engine/base engine/tensor engine/device engine/graph"
  may["engine/base"] = ""
  may["engine/tensor"] = " engine/base"
  may["engine/device"] = " engine/base engine/tensor"
  may["engine/graph"] = core
  may["kernels"] = core
  may["optim"] = core
  may["engine/io"] = core
  may["engine/passes"] = core " kernels optim"
  may["engine/quant"] = core " kernels optim engine/passes"
  may["engine/train"] = core " kernels optim engine/passes engine/quant engine/io"
  may["engine/study"] = core " kernels optim engine/passes engine/quant engine/io engine/train"
  may["models"] = core " kernels"
  may["data"] = " engine/base engine/tensor"
  may["apps"] = core " kernels optim engine/passes engine/quant engine/io engine/train engine/study models data"
  # Oracles are written from the papers: nothing of what they judge. The other folders of tests may include everything.
  may["tests/reference"] = " engine/base"
  may["tests/golden"] = ""

  # Single files that join layers, and what they may include besides.
  also["engine/device/plugin.h"] = " engine/graph"       # the plug-in's registry holds launchers of ops
  also["engine/device/plugin.cpp"] = " engine/graph"
  also["engine/device/cuda/cuda_plugin.cpp"] = " engine/graph kernels optim"  # the list of everything that runs on CUDA
  # The update writes weight codes by the quantizer's own formula.
  also["optim/optimizer.h"] = also["optim/step_cpu.cpp"] = also["optim/step_cuda.cu"] = " kernels"
  outside["simt.h"] = outside["ptx_host.h"] = 1  # of the harness that compiles kernels for the host
}

function layer(path,   part) {
  split(path, part, "/")
  return part[1] == "engine" || part[1] == "tests" ? part[1] "/" part[2] : part[1]
}

function allowed(file, from, to) {
  if (from == to) return 1
  if (index(also[file] " ", " " to " ")) return 1
  if (from in may) return index(may[from] " ", " " to " ") > 0
  return from ~ /^tests\//
}

function exists(path,   line, found) {
  found = (getline line < path) >= 0
  close(path)
  return found
}

# The path from the root of what a quoted include names: it begins there; in tests, also beside the file or in tests/. Empty: nothing.
function resolve(file, path,   folder) {
  if (exists(path)) return path
  if (file !~ /^tests\//) return ""
  folder = file
  sub(/[^\/]*$/, "", folder)
  if (exists(folder path)) return folder path
  return exists("tests/" path) ? "tests/" path : ""
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
  match($0, /"[^"]*"/)
  path = substr($0, RSTART + 1, RLENGTH - 2)
  if (path in outside) next
  named = path
  path = resolve(FILENAME, named)
  if (path == "") {
    printf "%s:%d: \"%s\" does not exist; paths in quotes begin at the root\n", FILENAME, FNR, named
    next
  }
  from = layer(FILENAME)
  to = layer(path)
  if (!allowed(FILENAME, from, to)) printf "%s:%d: %s may not include %s (\"%s\")\n", FILENAME, FNR, from, to, path
  if (path ~ /^engine\/device\/cuda\// && FILENAME !~ /\.(cu|cuh)$|_cuda\.h$|_library\.cpp$|^engine\/device\/cuda\/|^tests\//)
    printf "%s:%d: host code may not include CUDA's (\"%s\")\n", FILENAME, FNR, path
}
