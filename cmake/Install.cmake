# What is installed: headers, libraries with their links, the command, and the files that find_package and pkg-config read. All
# paths in those are relative to where they are found, so that the tree may be moved.
install(FILES include/rsquant.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES include/rsquant.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY include/rsquant DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")

# librsquant.so -> librsquant.so.<abi> -> librsquant.so.<version>
set(RSQ_REAL_NAME "librsquant.so.${RSQ_VERSION}")
set(RSQ_SONAME "librsquant.so.${RSQ_ABI_VERSION}")
set(RSQ_LINKS "${PROJECT_BINARY_DIR}/links")
file(MAKE_DIRECTORY "${RSQ_LINKS}")
file(CREATE_LINK "${RSQ_REAL_NAME}" "${RSQ_LINKS}/${RSQ_SONAME}" SYMBOLIC)
file(CREATE_LINK "${RSQ_SONAME}" "${RSQ_LINKS}/librsquant.so" SYMBOLIC)
install(PROGRAMS "${RSQ_SHARED_LIBRARY}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME "${RSQ_REAL_NAME}")
install(FILES "${RSQ_LINKS}/${RSQ_SONAME}" "${RSQ_LINKS}/librsquant.so" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${RSQ_STATIC_LIBRARY}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(RSQUANT_BUILD_CLI)
  install(PROGRAMS "${RSQ_COMMAND}" DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

set(RSQ_CONFIG_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/rsquant")
configure_package_config_file(cmake/rsquantConfig.cmake.in rsquantConfig.cmake
  INSTALL_DESTINATION "${RSQ_CONFIG_DIR}"
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/rsquantConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/rsquantConfig.cmake" "${PROJECT_BINARY_DIR}/rsquantConfigVersion.cmake"
  DESTINATION "${RSQ_CONFIG_DIR}")

# pkg-config counts from the folder of its file, ${pcfiledir}.
set(RSQ_PC_DIR "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH RSQ_PC_TO_PREFIX "/prefix/${RSQ_PC_DIR}" "/prefix")
string(REGEX REPLACE "/$" "" RSQ_PC_TO_PREFIX "${RSQ_PC_TO_PREFIX}")
string(JOIN " " RSQ_PC_STATIC_LIBS ${RSQ_NATIVE_STATIC_LIBS})
configure_file(cmake/rsquant.pc.in rsquant.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/rsquant.pc" DESTINATION "${RSQ_PC_DIR}")
