#include "cifar10.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace harness {
namespace {

namespace fs = std::filesystem;

std::size_t records_in(const fs::path& file) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(file, error);
    if (error) {
        throw std::runtime_error(file.string() + ": " + error.message());
    }
    if (bytes == 0 || bytes % kCifarRecordBytes != 0) {
        throw std::runtime_error(file.string() + ": " + std::to_string(bytes) + " bytes, not a whole number of CIFAR-10 records of " +
                                 std::to_string(kCifarRecordBytes) + " bytes");
    }
    return bytes / kCifarRecordBytes;
}

// Appends one record, its three colour planes interleaved.
void append_record(const std::vector<char>& record, const fs::path& file, Images& images) {
    const auto label = static_cast<std::uint8_t>(record[0]);
    if (label >= kCifarClasses) {
        throw std::runtime_error(file.string() + ": image " + std::to_string(images.count()) + " has label " + std::to_string(label) +
                                 "; CIFAR-10 has 0 to 9");
    }
    images.labels.push_back(label);
    constexpr std::size_t plane = kCifarImageBytes / 3;
    for (std::size_t pixel = 0; pixel < plane; ++pixel) {
        for (std::size_t colour = 0; colour < 3; ++colour) {
            images.pixels.push_back(static_cast<std::uint8_t>(record[1 + colour * plane + pixel]));
        }
    }
}

void append_file(const fs::path& file, std::size_t limit, Images& images) {
    const std::size_t wanted = std::min(records_in(file), limit - images.count());
    images.labels.reserve(images.count() + wanted);
    images.pixels.reserve((images.count() + wanted) * kCifarImageBytes);
    std::ifstream stream(file, std::ios::binary);
    std::vector<char> record(kCifarRecordBytes);
    for (std::size_t i = 0; i < wanted; ++i) {
        if (!stream.read(record.data(), static_cast<std::streamsize>(record.size()))) {
            throw std::runtime_error(file.string() + ": cannot be read");
        }
        append_record(record, file, images);
    }
}

}  // namespace

Images read_cifar10(const std::string& dir, Split split, std::size_t limit) {
    fs::path folder(dir);
    if (fs::is_directory(folder / "cifar-10-batches-bin")) {
        folder /= "cifar-10-batches-bin";
    }
    Images images;
    if (split == Split::test) {
        append_file(folder / "test_batch.bin", limit, images);
        return images;
    }
    for (int batch = 1; batch <= 5 && images.count() < limit; ++batch) {
        const fs::path file = folder / ("data_batch_" + std::to_string(batch) + ".bin");
        if (batch > 1 && !fs::exists(file)) {
            break;
        }
        append_file(file, limit, images);
    }
    return images;
}

}  // namespace harness
