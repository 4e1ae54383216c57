# The CUDA part: language, libraries, and the plug-in's target. Included when GS_CUDA is on.

# nvcc is often installed without being on the PATH. CUDACXX and CMAKE_CUDA_COMPILER go first.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(GS_NVCC nvcc HINTS $ENV{CUDA_PATH}/bin $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin)
  if(GS_NVCC)
    set(CMAKE_CUDA_COMPILER ${GS_NVCC})
  endif()
endif()
# Ampere as machine code; Hopper with its PTX, which newer GPUs compile when the program starts. "native" would need a GPU here.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "GPU architectures to compile for")
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA")
  message(FATAL_ERROR "The CUDA part is built with nvcc; found ${CMAKE_CUDA_COMPILER}")
endif()
find_package(CUDAToolkit REQUIRED)
find_package(CuDNN 9 REQUIRED)

# CMake before 3.25.2 does not know nvcc's C++20 and then emits no flag at all, whatever CUDA_STANDARD says.
if("cuda_std_20" IN_LIST CMAKE_CUDA_COMPILE_FEATURES)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_EXTENSIONS OFF)
else()
  add_compile_options($<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>)
endif()

# gs_cuda_flags(target): the numeric policy and warnings of gs_defaults for nvcc. -fmad=false keeps every operation rounded on its own,
# as on the CPU; ptxas reports registers, spills and local memory of every kernel (tests/lint/ptxas.sh reads the reports).
function(gs_cuda_flags target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false -lineinfo -Xptxas=-v
      -Xcompiler=-ffp-contract=off,-Wall,-Wextra>)
  # fmt 9 takes nvcc for a compiler without constexpr, which its own consteval functions then fail on.
  target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
  if(GS_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
  endif()
  set(launcher ${CMAKE_SOURCE_DIR}/cmake/keep_ptxas_report.sh ${CMAKE_CUDA_COMPILER_LAUNCHER})
  set_target_properties(${target} PROPERTIES CUDA_COMPILER_LAUNCHER "${launcher}")
endfunction()

# gs_add_cuda_plugin(name sources...): the module that libgridstep opens when a device needs it. It lies beside libgridstep and carries
# the build id that both compare. CMake leaves the toolkit's folder out of the rpath, taking it for one the system searches. A runpath, so
# that LD_LIBRARY_PATH goes before it.
function(gs_add_cuda_plugin name)
  add_library(${name} MODULE ${ARGN})
  gs_defaults(${name})
  gs_cuda_flags(${name})
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY $<TARGET_FILE_DIR:gridstep>)
  target_link_libraries(${name} PRIVATE gridstep CUDA::cudart CUDA::cublas CUDA::nvtx3 CuDNN::cudnn)
  get_filename_component(cudnn_dir ${CuDNN_LIBRARY} DIRECTORY)
  set(folders ${CUDAToolkit_LIBRARY_DIR} ${cudnn_dir})
  list(REMOVE_DUPLICATES folders)
  set_target_properties(${name} PROPERTIES BUILD_RPATH "${folders}")
  target_link_options(${name} PRIVATE LINKER:--enable-new-dtags)
  gs_plugin_build_id(${CMAKE_SOURCE_DIR}/engine/device/cuda/cuda_plugin.cpp)
  set_property(GLOBAL PROPERTY GS_CUDA_PLUGIN ${name})
endfunction()
