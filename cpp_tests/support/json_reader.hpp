// JSON text to values, for what tests look at.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

struct Json {
    enum class Kind { null, boolean, number, text, array, object } kind = Kind::null;
    double number = 0;  // of a boolean 0 or 1
    std::string text;
    std::vector<Json> items;
    std::map<std::string, Json> members;

    bool is_null() const { return kind == Kind::null; }
    bool has(const std::string& key) const { return members.count(key) != 0; }
    // Throws std::out_of_range naming the key.
    const Json& operator[](const std::string& key) const {
        const auto found = members.find(key);
        if (found == members.end()) {
            throw std::out_of_range("no JSON member " + key);
        }
        return found->second;
    }
};

// Throws std::runtime_error for what is not JSON. Escapes other than \" \\ \/ \n \t are kept as they are.
class JsonReader {
public:
    static Json read(const std::string& text) {
        JsonReader reader(text);
        Json value = reader.value();
        reader.skip_space();
        if (reader.at_ != text.size()) {
            throw std::runtime_error("text behind the JSON value");
        }
        return value;
    }

private:
    explicit JsonReader(const std::string& text) : text_(text) {}

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void skip_space() {
        while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) != nullptr) {
            ++at_;
        }
    }
    void expect(char c) {
        skip_space();
        if (peek() != c) {
            throw std::runtime_error(std::string("JSON: expected ") + c + " at byte " + std::to_string(at_));
        }
        ++at_;
    }
    // Whether another item follows, in an object or array that `close` ends.
    bool next_item(bool first, char close) {
        skip_space();
        if (peek() == close) {
            ++at_;
            return false;
        }
        if (!first) {
            expect(',');
        }
        return true;
    }
    std::string string() {
        expect('"');
        std::string out;
        while (peek() != '"') {
            if (at_ >= text_.size()) {
                throw std::runtime_error("JSON: a string does not end");
            }
            char c = text_[at_++];
            if (c == '\\') {
                c = text_[at_++];
                out += c == 'n' ? "\n" : c == 't' ? "\t" : std::strchr("\"\\/", c) != nullptr ? std::string(1, c) : std::string("\\") + c;
            } else {
                out += c;
            }
        }
        ++at_;
        return out;
    }
    bool word(const char* text, Json::Kind kind, double number, Json& value) {
        if (text_.compare(at_, std::strlen(text), text) != 0) {
            return false;
        }
        at_ += std::strlen(text);
        value.kind = kind;
        value.number = number;
        return true;
    }
    Json value() {
        Json v;
        skip_space();
        if (peek() == '{') {
            v.kind = Json::Kind::object;
            ++at_;
            for (bool first = true; next_item(first, '}'); first = false) {
                const std::string key = string();
                expect(':');
                v.members[key] = value();
            }
        } else if (peek() == '[') {
            v.kind = Json::Kind::array;
            ++at_;
            for (bool first = true; next_item(first, ']'); first = false) {
                v.items.push_back(value());
            }
        } else if (peek() == '"') {
            v.kind = Json::Kind::text;
            v.text = string();
        } else if (!word("null", Json::Kind::null, 0, v) && !word("true", Json::Kind::boolean, 1, v) &&
                   !word("false", Json::Kind::boolean, 0, v)) {
            const char* start = text_.c_str() + at_;
            char* end = nullptr;
            v.kind = Json::Kind::number;
            v.number = std::strtod(start, &end);
            if (end == start) {
                throw std::runtime_error("JSON: no value at byte " + std::to_string(at_));
            }
            at_ += static_cast<std::size_t>(end - start);
        }
        return v;
    }

    const std::string& text_;
    std::size_t at_ = 0;
};

}  // namespace test
