// ONNX models of one node, written field by field: what no exporter would write.
#pragma once

#include <cstdint>
#include <string>

namespace test {

// A protobuf message: fields are appended in the order of the calls.
class Message {
public:
    Message& number(unsigned field, std::uint64_t value) {
        varint(field << 3);
        varint(value);
        return *this;
    }
    Message& bytes(unsigned field, const std::string& value) {
        varint(field << 3 | 2);
        varint(value.size());
        bytes_ += value;
        return *this;
    }
    const std::string& text() const { return bytes_; }

private:
    void varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) {
            bytes_ += static_cast<char>(value | 0x80);
        }
        bytes_ += static_cast<char>(value);
    }
    std::string bytes_;
};

// A ValueInfoProto: f32 [2, 3].
inline std::string value_info(const std::string& name) {
    const std::string dims = Message().bytes(1, Message().number(1, 2).text()).bytes(1, Message().number(1, 3).text()).text();
    const std::string tensor = Message().number(1, 1).bytes(2, dims).text();
    return Message().bytes(1, name).bytes(2, Message().bytes(1, tensor).text()).text();
}

// A model of opset 13 with x -> op_type -> y.
inline std::string one_node_model(const std::string& op_type) {
    const std::string node = Message().bytes(1, "x").bytes(2, "y").bytes(3, "the_node").bytes(4, op_type).text();
    const std::string graph = Message().bytes(1, node).bytes(2, "g").bytes(11, value_info("x")).bytes(12, value_info("y")).text();
    return Message().number(1, 7).bytes(7, graph).bytes(8, Message().bytes(1, "").number(2, 13).text()).text();
}

}  // namespace test
