#include "cifar10.hpp"
#include "support/files.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// Records whose label and bytes tell which they are.
std::vector<std::uint8_t> records(std::size_t count, std::uint8_t first_label) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < count; ++i) {
        bytes.push_back(static_cast<std::uint8_t>((first_label + i) % 10));
        for (std::size_t k = 0; k < harness::kCifarImageBytes; ++k) {
            bytes.push_back(static_cast<std::uint8_t>(k / 1024 * 80 + k % 1024 % 79 + i));
        }
    }
    return bytes;
}

std::string message_of(const std::string& dir, harness::Split split) {
    try {
        harness::read_cifar10(dir, split, 100);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("records become labels and interleaved pixels") {
    const test::TemporaryFolder folder;
    const auto bytes = records(3, 4);
    test::write_bytes(folder / "test_batch.bin", bytes.data(), bytes.size());
    const harness::Images images = harness::read_cifar10(folder / "", harness::Split::test, 2);
    REQUIRE(images.count() == 2);
    CHECK(images.labels == std::vector<std::uint8_t>{4, 5});
    for (std::size_t pixel = 0; pixel < 1024; ++pixel) {
        for (std::size_t colour = 0; colour < 3; ++colour) {
            REQUIRE(images.pixels_of(1)[pixel * 3 + colour] == bytes[harness::kCifarRecordBytes + 1 + colour * 1024 + pixel]);
        }
    }
}

TEST_CASE("training batches are read in order as far as they exist, from the folder or the one above") {
    const test::TemporaryFolder folder;
    std::filesystem::create_directory(folder / "cifar-10-batches-bin");
    const auto one = records(2, 0), two = records(2, 7);
    test::write_bytes(folder / "cifar-10-batches-bin/data_batch_1.bin", one.data(), one.size());
    test::write_bytes(folder / "cifar-10-batches-bin/data_batch_2.bin", two.data(), two.size());
    for (const char* dir : {"", "cifar-10-batches-bin"}) {
        CHECK(harness::read_cifar10(folder / dir, harness::Split::train, 3).labels == std::vector<std::uint8_t>{0, 1, 7});
        CHECK(harness::read_cifar10(folder / dir, harness::Split::train, 99).count() == 4);
    }
}

TEST_CASE("files that are missing or malformed are errors that name them") {
    const test::TemporaryFolder folder;
    CHECK(contains(message_of(folder / "", harness::Split::test), "test_batch.bin"));
    CHECK(contains(message_of(folder / "", harness::Split::train), "data_batch_1.bin"));
    auto bytes = records(2, 0);
    test::write_bytes(folder / "test_batch.bin", bytes.data(), bytes.size() - 1);
    CHECK(contains(message_of(folder / "", harness::Split::test), "test_batch.bin: 6145 bytes"));
    test::write_bytes(folder / "test_batch.bin", bytes.data(), 0);
    CHECK(contains(message_of(folder / "", harness::Split::test), "0 bytes"));
    bytes[harness::kCifarRecordBytes] = 10;
    test::write_bytes(folder / "test_batch.bin", bytes.data(), bytes.size());
    CHECK(contains(message_of(folder / "", harness::Split::test), "image 1 has label 10"));
}

TEST_CASE("the sample's own images are there") {
    const harness::Images images = harness::read_cifar10(SAMPLE_ASSETS_DIR, harness::Split::test, 5000);
    CHECK(images.count() == 1000);
    CHECK(harness::read_cifar10(SAMPLE_ASSETS_DIR, harness::Split::train, 5000).count() == 512);
}
