#include "bilinear_resize.hpp"
#include "cifar10.hpp"
#include "png.hpp"
#include "preprocess.hpp"
#include "support/files.hpp"
#include "support/json_reader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

const std::string kGolden = SAMPLE_GOLDEN_DIR;

std::size_t differing(const std::uint8_t* a, const std::uint8_t* b, std::size_t count) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < count; ++i) {
        n += a[i] != b[i];
    }
    return n;
}

}  // namespace

TEST_CASE("a resize has the bytes of the Python imaging library's") {
    const std::vector<std::uint8_t> bytes = test::read_bytes(kGolden + "/resize_cases.bin");
    const test::Json index = test::JsonReader::read(test::read_text(kGolden + "/resize_cases.json"));
    REQUIRE(index["cases"].items.size() == 39);
    std::vector<std::uint8_t> scratch;
    for (const test::Json& c : index["cases"].items) {
        CAPTURE(c["name"].text);
        const auto whole = [&](const char* key) { return static_cast<int>(c[key].number); };
        const harness::BilinearResize resize(whole("src_width"), whole("src_height"), whole("dst_width"), whole("dst_height"));
        std::vector<std::uint8_t> dst(static_cast<std::size_t>(whole("dst_width")) * whole("dst_height") * 3);
        resize.run(bytes.data() + whole("src_offset"), dst.data(), scratch);
        CHECK(harness::crc32(dst.data(), dst.size()) == static_cast<std::uint32_t>(c["crc32"].number));
        if (!c["dst_offset"].is_null()) {
            CHECK(differing(dst.data(), bytes.data() + whole("dst_offset"), dst.size()) == 0);
        }
    }
}

TEST_CASE("test images at 224 are those of torchvision's Resize") {
    const std::vector<std::uint8_t> expected = test::read_bytes(kGolden + "/resized_first2.u8");
    const harness::Images images = harness::read_cifar10(SAMPLE_ASSETS_DIR, harness::Split::test, 2);
    const harness::BilinearResize resize(32, 32, 224, 224);
    std::vector<std::uint8_t> dst(224 * 224 * 3), scratch;
    REQUIRE(expected.size() == 2 * dst.size());
    for (std::size_t i = 0; i < 2; ++i) {
        resize.run(images.pixels_of(i), dst.data(), scratch);
        CHECK(differing(dst.data(), expected.data() + i * dst.size(), dst.size()) == 0);
    }
}

TEST_CASE("preprocessing resizes, normalizes and separates the colours, on any number of threads") {
    const std::vector<std::uint8_t> resized = test::read_bytes(kGolden + "/resized_first2.u8");
    const harness::Images images = harness::read_cifar10(SAMPLE_ASSETS_DIR, harness::Split::test, 2);
    constexpr std::size_t plane = 224 * 224;
    std::vector<float> expected(2 * 3 * plane);
    for (std::size_t image = 0; image < 2; ++image) {
        for (std::size_t pixel = 0; pixel < plane; ++pixel) {
            for (std::size_t colour = 0; colour < 3; ++colour) {
                const float unit = static_cast<float>(resized[(image * plane + pixel) * 3 + colour]) / 255.0f;
                expected[(image * 3 + colour) * plane + pixel] = (unit - 0.5f) / 0.5f;
            }
        }
    }
    for (const unsigned threads : {1u, 2u, 3u}) {
        std::vector<float> floats(expected.size());
        harness::Preprocess(224, 224, threads).run(images, 0, 2, floats.data());
        CHECK(floats == expected);
    }
    const auto values = harness::normalized_bytes();
    CHECK(values[0] == -1.0f);
    CHECK(values[255] == 1.0f);
    CHECK(std::is_sorted(values.begin(), values.end()));
}
