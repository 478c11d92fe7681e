// JSON text, written value by value.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace harness {

// Writes objects and arrays in the order of the calls. A key precedes every value inside an object. Numbers that are not
// finite become null.
class JsonWriter {
public:
    // `indent`: one member a line; otherwise all on one line.
    explicit JsonWriter(bool indent) : indent_(indent) {}

    JsonWriter& begin_object() { return begin('{'); }
    JsonWriter& end_object() { return end('}'); }
    JsonWriter& begin_array() { return begin('['); }
    JsonWriter& end_array() { return end(']'); }
    JsonWriter& key(const std::string& name);
    JsonWriter& value(const std::string& text);
    JsonWriter& value(const char* text) { return value(std::string(text)); }
    JsonWriter& value(double number);
    JsonWriter& null();
    template <typename T, std::enable_if_t<std::is_integral_v<T>, int> = 0>
    JsonWriter& value(T number) {
        separate();
        text_ += std::to_string(number);
        return *this;
    }
    template <typename T>
    JsonWriter& member(const std::string& name, const T& what) {
        return key(name).value(what);
    }

    const std::string& text() const { return text_; }

private:
    JsonWriter& begin(char bracket);
    JsonWriter& end(char bracket);
    void separate();
    void new_line();

    bool indent_;
    bool after_key_ = false;
    std::vector<bool> empty_;  // of each open object or array
    std::string text_;
};

}  // namespace harness
