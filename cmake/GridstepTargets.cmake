# Compiler settings and generated sources.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# gs_defaults(target): C++20, warnings, and the numeric policy. Elementwise code must give the same bits on every device, so nothing is
# contracted to fma and there is no fast-math; -fno-trapping-math and -fno-math-errno change no result and let loops vectorise.
function(gs_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON BUILD_RPATH_USE_ORIGIN ON)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -ffp-contract=off -fno-math-errno -fno-trapping-math>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O3>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarms on operator+ of std::string: GCC bug 105651.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-march=${GS_ARCH}>)
  endif()
  if(GS_PCH)
    target_precompile_headers(${target} PRIVATE <algorithm> <any> <filesystem> <functional> <map> <memory> <span> <string> <vector>
                              <fmt/format.h> <nlohmann/json.hpp>)
  endif()
  if(GS_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # Of clang's -Wconversion what GCC's has.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-sign-conversion>)
  endif()
  if(GS_SANITIZE OR GS_FUZZ)
    set(sanitize -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=undefined,float-cast-overflow)
    if(GS_SANITIZE STREQUAL "thread")
      set(sanitize -fsanitize=thread)
    endif()
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${sanitize} -fno-omit-frame-pointer>)
    target_link_options(${target} PRIVATE ${sanitize})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # The instrumented code hides from GCC that a vector is initialised.
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized -Wno-uninitialized>)
    endif()
  endif()
  if(GS_FUZZ)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link,float-cast-overflow>)
  endif()
endfunction()

# toml++ is header-only; some distributions' target links a compiled library besides.
function(gs_use_tomlplusplus target)
  get_target_property(include_dirs tomlplusplus::tomlplusplus INTERFACE_INCLUDE_DIRECTORIES)
  if(include_dirs)
    target_include_directories(${target} SYSTEM PRIVATE ${include_dirs})
  endif()
  target_compile_definitions(${target} PRIVATE TOML_HEADER_ONLY=1)
endfunction()

# apps/studies/*.toml as strings: `out_var` names the generated source (engine/study/shipped.h declares its functions).
function(gs_embed_studies out_var)
  file(GLOB studies CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/studies/*.toml)
  set(source ${CMAKE_BINARY_DIR}/generated/shipped_studies.cpp)
  set(entries "")
  foreach(study ${studies})
    get_filename_component(name ${study} NAME_WE)
    file(READ ${study} content)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${study})
    string(APPEND entries "    {\"${name}\", R\"toml(${content})toml\"},\n")
  endforeach()
  set(GS_STUDY_ENTRIES "${entries}")
  configure_file(${CMAKE_SOURCE_DIR}/cmake/shipped_studies.cpp.in ${source} @ONLY)
  set(${out_var} ${source} PARENT_SCOPE)
endfunction()

# The build id that the library and its plug-ins compare: version, compiler, build type and the commit, where there is one. Also set as
# GS_BUILD_ID_TEXT.
function(gs_write_build_id out_var)
  set(commit "no commit")
  find_package(Git QUIET)
  if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
                    OUTPUT_VARIABLE git_commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE git_result)
    if(git_result EQUAL 0)
      set(commit ${git_commit})
    endif()
  endif()
  set(GS_COMMIT "${commit}")
  set(GS_BUILD_ID_TEXT "${PROJECT_VERSION} ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_BUILD_TYPE} ${commit}")
  set(source ${CMAKE_BINARY_DIR}/generated/build_id.cpp)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/build_id.cpp.in ${source} @ONLY)
  set(${out_var} ${source} PARENT_SCOPE)
  set(GS_BUILD_ID_TEXT "${GS_BUILD_ID_TEXT}" PARENT_SCOPE)
endfunction()

# The same id for a plug-in's entry point, in the folder that compiles it.
function(gs_plugin_build_id source)
  set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS "GRIDSTEP_PLUGIN_BUILD_ID=\"${GS_BUILD_ID_TEXT}\"")
endfunction()

# The libraries found, for `gridstep doctor`: GRIDSTEP_LIBRARIES in the source named. oneDNN tells its version itself.
function(gs_name_libraries source)
  set(names "fmt ${fmt_VERSION}" "CLI11 ${CLI11_VERSION}" "toml++ ${tomlplusplus_VERSION}" "nlohmann-json ${nlohmann_json_VERSION}"
    "libpng ${PNG_VERSION_STRING}" "libjpeg-turbo ${TurboJPEG_VERSION}" "zlib ${ZLIB_VERSION_STRING}")
  if(GS_CUDA)
    list(APPEND names "CUDA ${CUDAToolkit_VERSION}" "cuDNN ${CuDNN_VERSION}")
  endif()
  list(JOIN names ", " names)
  set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS "GRIDSTEP_LIBRARIES=\"${names}\"")
endfunction()

# The source that looks at the processor runs on any of the family; it is told the level that the other code needs.
function(gs_check_instruction_set source)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND GS_ARCH MATCHES "^x86-64-v[234]$")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -march=x86-64)
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS "GRIDSTEP_X86_LEVEL=\"${GS_ARCH}\"")
  endif()
endfunction()
