# rsq_cargo_build(): a target rsquant_cargo that builds the crate, and where its files are:
#   RSQ_SHARED_LIBRARY, RSQ_STATIC_LIBRARY, RSQ_COMMAND, RSQ_NATIVE_STATIC_LIBS (what a static link needs besides).
# Cargo's output stays in the build tree.

# The link flags that rustc says a static library of this target needs, as a list.
function(rsq_native_static_libs result)
  set(probe "${PROJECT_BINARY_DIR}/native_static_libs")
  file(WRITE "${probe}.rs" "")
  execute_process(
    COMMAND "${RSQ_RUSTC}" --crate-type staticlib --print native-static-libs -o "${probe}.a" "${probe}.rs"
    RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
  if(NOT status EQUAL 0 OR NOT text MATCHES "native-static-libs: ([^\n]*)")
    message(FATAL_ERROR "rustc does not tell its native static libraries:\n${text}")
  endif()
  string(STRIP "${CMAKE_MATCH_1}" flags)
  separate_arguments(flags)
  list(REMOVE_DUPLICATES flags)
  set(${result} "${flags}" PARENT_SCOPE)
endfunction()

macro(rsq_cargo_build)
  find_program(RSQ_CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)
  find_program(RSQ_RUSTC rustc HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)
  set(RSQ_CARGO_TARGET_DIR "${PROJECT_BINARY_DIR}/cargo" CACHE PATH "Cargo's target directory")
  set(RSQ_SHARED_LIBRARY "${RSQ_CARGO_TARGET_DIR}/release/librsquant.so")
  set(RSQ_STATIC_LIBRARY "${RSQ_CARGO_TARGET_DIR}/release/librsquant.a")
  set(RSQ_COMMAND "${RSQ_CARGO_TARGET_DIR}/release/rsquant")
  rsq_native_static_libs(RSQ_NATIVE_STATIC_LIBS)
  # One call builds the library and, where it is wanted, the command: without its feature cargo passes it over.
  set(features reserve-allocator)
  set(products "${RSQ_SHARED_LIBRARY}" "${RSQ_STATIC_LIBRARY}")
  if(RSQUANT_BUILD_CLI)
    string(APPEND features ",cli")
    list(APPEND products "${RSQ_COMMAND}")
  endif()
  # Cargo knows best what is out of date, so it is asked in every build; it does nothing where nothing changed. The link
  # beside the library has the name that programs of the build tree look for.
  add_custom_target(rsquant_cargo ALL
    COMMAND "${CMAKE_COMMAND}" -E env "CARGO_TARGET_DIR=${RSQ_CARGO_TARGET_DIR}"
            "${RSQ_CARGO}" build --release --locked --lib --bins --features ${features} ${RSQ_CARGO_FLAGS}
    COMMAND "${CMAKE_COMMAND}" -E create_symlink librsquant.so "${RSQ_SHARED_LIBRARY}.${RSQ_ABI_VERSION}"
    BYPRODUCTS ${products}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "cargo build --release"
    USES_TERMINAL VERBATIM)
endmacro()
