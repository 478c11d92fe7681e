#include "png.hpp"

#include <array>

namespace harness {
namespace {

using Bytes = std::vector<std::uint8_t>;

void append_big_endian(Bytes& out, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.push_back(static_cast<std::uint8_t>(value >> shift));
    }
}

void append_little_endian_16(Bytes& out, std::uint32_t value) {
    out.push_back(static_cast<std::uint8_t>(value));
    out.push_back(static_cast<std::uint8_t>(value >> 8));
}

// Length, type, data, and the CRC of type and data.
void append_chunk(Bytes& out, const char* type, const Bytes& data) {
    append_big_endian(out, static_cast<std::uint32_t>(data.size()));
    const std::size_t start = out.size();
    out.insert(out.end(), type, type + 4);
    out.insert(out.end(), data.begin(), data.end());
    append_big_endian(out, crc32(out.data() + start, out.size() - start));
}

// A zlib stream of one stored block (RFC 1950, RFC 1951).
Bytes stored_zlib(const Bytes& data) {
    const auto length = static_cast<std::uint32_t>(data.size());
    Bytes out = {0x78, 0x01, 0x01};
    append_little_endian_16(out, length);
    append_little_endian_16(out, ~length);
    out.insert(out.end(), data.begin(), data.end());
    std::uint32_t a = 1, b = 0;  // Adler-32
    for (const std::uint8_t byte : data) {
        a = (a + byte) % 65521;
        b = (b + a) % 65521;
    }
    append_big_endian(out, b << 16 | a);
    return out;
}

}  // namespace

std::uint32_t crc32(const void* data, std::size_t bytes, std::uint32_t crc) {
    static const auto table = [] {
        std::array<std::uint32_t, 256> t{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t c = i;
            for (int bit = 0; bit < 8; ++bit) {
                c = (c >> 1) ^ (c & 1 ? 0xEDB88320u : 0u);
            }
            t[i] = c;
        }
        return t;
    }();
    crc = ~crc;
    const auto* byte = static_cast<const std::uint8_t*>(data);
    for (std::size_t i = 0; i < bytes; ++i) {
        crc = (crc >> 8) ^ table[(crc ^ byte[i]) & 0xFF];
    }
    return ~crc;
}

std::vector<std::uint8_t> png_bytes(const std::uint8_t* pixels, std::uint32_t width, std::uint32_t height) {
    Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    Bytes header;
    append_big_endian(header, width);
    append_big_endian(header, height);
    header.insert(header.end(), {8, 2, 0, 0, 0});  // 8 bits a sample, RGB, no interlace
    append_chunk(out, "IHDR", header);
    Bytes rows;
    for (std::uint32_t y = 0; y < height; ++y) {
        rows.push_back(0);  // no filter
        const std::uint8_t* row = pixels + std::size_t{y} * width * 3;
        rows.insert(rows.end(), row, row + std::size_t{width} * 3);
    }
    append_chunk(out, "IDAT", stored_zlib(rows));
    append_chunk(out, "IEND", {});
    return out;
}

std::string base64(const std::vector<std::uint8_t>& bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        const std::uint32_t triple = std::uint32_t{bytes[i]} << 16 | (left > 1 ? std::uint32_t{bytes[i + 1]} << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        out += digits[triple >> 18];
        out += digits[triple >> 12 & 63];
        out += left > 1 ? digits[triple >> 6 & 63] : '=';
        out += left > 2 ? digits[triple & 63] : '=';
    }
    return out;
}

}  // namespace harness
