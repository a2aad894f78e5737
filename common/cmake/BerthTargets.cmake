# The three functions every CMakeLists.txt of Berth is written with.
#
#   berth_library(NAME SOURCES … TESTS … DEPS …)   static library berth::NAME and its unit tests
#   berth_test(NAME SOURCES … DEPS … LABEL unit|parts|integration)
#     unit: nothing but itself and files; parts: one library with the real Podman or network, also
#     under AddressSanitizer; integration: what has other real parts, such as the whole system
#   berth_service(NAME SOURCES … TESTS … DEPS …)   library of everything but main.cpp, the binary
#                                                  berth-NAME, and the unit tests
#
# A library that links gRPC is declared between if(NOT BERTH_SANITIZE MATCHES "thread") and endif().

# A section for each function, so that the linker leaves out what nobody calls.
set(berth_sections -ffunction-sections -fdata-sections)
add_library(berth_compile_options INTERFACE)
target_compile_options(berth_compile_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  # Debian's libraries are built by GCC; without the older rule for mangling, Abseil's do not link.
  # Inside GCC's std::stable_sort clang sees a call of what is deprecated.
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-fclang-abi-compat=17;-Wno-deprecated-declarations>
  # gcovr finds sources by their whole paths.
  $<$<NOT:$<BOOL:${BERTH_COVERAGE}>>:-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=>
  $<$<CONFIG:Release>:-fstack-protector-strong;-fcf-protection;${berth_sections}>)
# Half a megabyte of a daemon's memory was code that nobody calls and long-hand relocations, which
# glibc reads packed since 2.36.
target_link_options(berth_compile_options INTERFACE
  $<$<CONFIG:Release>:-Wl,--gc-sections,-z,pack-relative-relocs>)
target_compile_definitions(berth_compile_options INTERFACE
  BERTH_VERSION="${PROJECT_VERSION}" $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
target_include_directories(berth_compile_options INTERFACE ${CMAKE_SOURCE_DIR})
if(BERTH_SANITIZE)
  target_compile_options(berth_compile_options INTERFACE
    -fsanitize=${BERTH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(berth_compile_options INTERFACE -fsanitize=${BERTH_SANITIZE})
endif()
if(BERTH_COVERAGE)
  target_compile_options(berth_compile_options INTERFACE --coverage)
  target_link_options(berth_compile_options INTERFACE --coverage)
endif()

function(berth_test name)
  cmake_parse_arguments(arg "" "LABEL" "SOURCES;DEPS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE berth_compile_options berth::testing ${arg_DEPS})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL})
endfunction()

function(berth_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;TESTS;DEPS" ${ARGN})
  if(arg_SOURCES)
    add_library(berth_${name} STATIC ${arg_SOURCES})
    target_link_libraries(berth_${name} PRIVATE berth_compile_options PUBLIC ${arg_DEPS})
    target_include_directories(berth_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  else()
    add_library(berth_${name} INTERFACE)
    target_link_libraries(berth_${name} INTERFACE ${arg_DEPS})
    target_include_directories(berth_${name} INTERFACE ${CMAKE_SOURCE_DIR})
  endif()
  add_library(berth::${name} ALIAS berth_${name})
  if(arg_TESTS)
    berth_test(${name}_test SOURCES ${arg_TESTS} DEPS berth::${name})
  endif()
endfunction()

function(berth_service name)
  cmake_parse_arguments(arg "" "" "SOURCES;TESTS;DEPS" ${ARGN})
  berth_library(${name} SOURCES ${arg_SOURCES} TESTS ${arg_TESTS} DEPS ${arg_DEPS})
  string(REPLACE "_" "-" binary berth-${name})
  add_executable(${binary} main.cpp)
  target_link_libraries(${binary} PRIVATE berth_compile_options berth_allocator berth::${name}
    berth::service_process)
endfunction()
