// Small pictures inside an HTML page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace harness {

// CRC-32 of IEEE 802.3, as PNG and zlib use it.
std::uint32_t crc32(const void* data, std::size_t bytes, std::uint32_t crc = 0);

// A PNG file of `pixels`, [height, width, 3] RGB, stored without compression. Width times 3 plus 1, times height, is at
// most 65,535 (one stored block).
std::vector<std::uint8_t> png_bytes(const std::uint8_t* pixels, std::uint32_t width, std::uint32_t height);

std::string base64(const std::vector<std::uint8_t>& bytes);

}  // namespace harness
