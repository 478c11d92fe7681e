#include "json.hpp"

#include <cmath>
#include <cstdio>

namespace harness {
namespace {

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
            out += code;
        } else {
            out += c;
        }
    }
    return out + '"';
}

}  // namespace

JsonWriter& JsonWriter::begin(char bracket) {
    separate();
    text_ += bracket;
    empty_.push_back(true);
    return *this;
}

JsonWriter& JsonWriter::end(char bracket) {
    const bool empty = empty_.back();
    empty_.pop_back();
    if (!empty) {
        new_line();
    }
    text_ += bracket;
    return *this;
}

JsonWriter& JsonWriter::key(const std::string& name) {
    separate();
    text_ += quoted(name) + ": ";
    after_key_ = true;
    return *this;
}

JsonWriter& JsonWriter::value(const std::string& text) {
    separate();
    text_ += quoted(text);
    return *this;
}

JsonWriter& JsonWriter::value(double number) {
    if (!std::isfinite(number)) {
        return null();
    }
    separate();
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.9g", number);
    text_ += digits;
    return *this;
}

JsonWriter& JsonWriter::null() {
    separate();
    text_ += "null";
    return *this;
}

// What stands between two values.
void JsonWriter::separate() {
    if (after_key_ || empty_.empty()) {
        after_key_ = false;
        return;
    }
    if (!empty_.back()) {
        text_ += indent_ ? "," : ", ";
    }
    empty_.back() = false;
    new_line();
}

void JsonWriter::new_line() {
    if (indent_) {
        text_ += '\n';
        text_.append(empty_.size() * 2, ' ');
    }
}

}  // namespace harness
