# Installation: a folder that can be moved, and packed (CPack TGZ), and that runs on another x86-64 Linux with the same or a newer glibc.
#
#   bin/gridstep  lib/libgridstep.so  lib/libgridstep_cuda.so  lib/<libraries that a plain system lacks>          component runtime
#   bin/gridstep-bench  bin/gpu_check.sh  share/gridstep/peers/  tests/test_*                                     component tests
#
# CUDA's libraries are not packed: the plug-in finds them by GRIDSTEP_CUDA_LIBS, by LD_LIBRARY_PATH, in the system, or in the packages of a
# Python (docs/cli.md).
include(GNUInstallDirs)

# An rpath that also holds for what the libraries themselves need: libpng finds the libz beside it.
set(GS_INSTALLED gridstep gridstep_cli)
foreach(target ${GS_INSTALLED} gridstep_bench)
  if(TARGET ${target})
    get_target_property(type ${target} TYPE)
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "$<IF:$<STREQUAL:${type},EXECUTABLE>,$ORIGIN/../lib,$ORIGIN>")
    target_link_options(${target} PRIVATE LINKER:--disable-new-dtags)
  endif()
endforeach()

# glibc, the compiler's run time and the loader are the system's; all else is packed.
install(TARGETS ${GS_INSTALLED}
  RUNTIME_DEPENDENCIES
    PRE_EXCLUDE_REGEXES "^libc[.]so" "^libm[.]so" "^libdl[.]so" "^librt[.]so" "^libpthread[.]so" "^ld-linux" "^libstdc[+][+][.]so" "^libgcc_s[.]so"
    POST_EXCLUDE_REGEXES "/ld-linux[^/]*$"
  RUNTIME DESTINATION bin COMPONENT runtime
  LIBRARY DESTINATION lib COMPONENT runtime)
if(TARGET gridstep_cuda)
  # Where NVIDIA's installers put the toolkit; as a runpath (cmake/GridstepCuda.cmake).
  set_target_properties(gridstep_cuda PROPERTIES INSTALL_RPATH "$ORIGIN;/usr/local/cuda/lib64;/usr/local/cuda/lib")
  install(TARGETS gridstep_cuda LIBRARY DESTINATION lib COMPONENT runtime)
endif()
install(FILES LICENSE README.md DESTINATION share/gridstep COMPONENT runtime)

if(TARGET gridstep_bench)
  install(TARGETS gridstep_bench RUNTIME DESTINATION bin COMPONENT tests)
  install(PROGRAMS apps/bench/gpu_check.sh DESTINATION bin COMPONENT tests)
  install(DIRECTORY apps/bench/peers DESTINATION share/gridstep COMPONENT tests FILES_MATCHING PATTERN "*.py")
endif()

# gs_install_test(target): a test binary of the bundle.
function(gs_install_test target)
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  target_link_options(${target} PRIVATE LINKER:--disable-new-dtags)
  install(TARGETS ${target} RUNTIME DESTINATION tests COMPONENT tests)
endfunction()

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_VENDOR "gridstep")
set(CPACK_PACKAGE_FILE_NAME "gridstep-${PROJECT_VERSION}-linux-x86_64")
set(CPACK_INCLUDE_TOPLEVEL_DIRECTORY ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL OFF)
set(CPACK_STRIP_FILES ON)
include(CPack)
