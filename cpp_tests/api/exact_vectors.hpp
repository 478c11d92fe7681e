// The exact vectors of the document, and numbers that look random and are the same everywhere.
#pragma once

#include "networks.hpp"

#include "support/json_reader.hpp"

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

namespace test {

using Bytes = std::vector<std::uint8_t>;

inline float from_bits(double bits) {
    const auto word = static_cast<std::uint32_t>(bits);
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}

template <typename T>
std::vector<T> numbers(const Json& json) {
    std::vector<T> out;
    for (const Json& item : json.items) {
        out.push_back(static_cast<T>(item.number));
    }
    return out;
}

inline std::vector<float> floats(const Json& json) {
    std::vector<float> out;
    for (const Json& item : json.items) {
        out.push_back(from_bits(item.number));
    }
    return out;
}

inline const Json& golden() {
    static const Json vectors = [] {
        std::ifstream file(TEST_GOLDEN_DIR "/requant.json");
        std::stringstream text;
        text << file.rdbuf();
        return JsonReader::read(text.str());
    }();
    return vectors;
}

// Numbers that look random and are the same everywhere.
class Numbers {
public:
    explicit Numbers(std::uint32_t seed) : state_(seed) {}
    std::uint32_t next() {
        state_ = state_ * 1664525u + 1013904223u;
        return state_ >> 8;
    }
    float real() { return static_cast<float>(next() % 2001) / 1000.0f - 1.0f; }
    Bytes bytes(std::size_t count) {
        static constexpr std::array<std::uint8_t, 5> ends = {0, 1, 127, 128, 255};
        Bytes out(count);
        for (std::uint8_t& byte : out) {
            byte = next() % 4 == 0 ? ends[next() % 5] : static_cast<std::uint8_t>(next());
        }
        return out;
    }
    std::vector<std::int8_t> weights(std::size_t count) {
        static constexpr std::array<std::int8_t, 6> ends = {-128, -127, -1, 0, 1, 127};
        std::vector<std::int8_t> out(count);
        for (std::int8_t& value : out) {
            value = next() % 4 == 0 ? ends[next() % 6] : static_cast<std::int8_t>(next());
        }
        return out;
    }
    std::vector<float> reals(std::size_t count) {
        std::vector<float> out(count);
        for (float& value : out) {
            value = real();
        }
        return out;
    }

private:
    std::uint32_t state_;
};

}  // namespace test
