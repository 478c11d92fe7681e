// Float graphs. Part of rsquant.hpp.
#ifndef RSQUANT_GRAPH_HPP
#define RSQUANT_GRAPH_HPP

#include "context.hpp"

#include <cstddef>
#include <string>

namespace rsquant {

// Plain descriptions, as the C API fills them. Their texts are NUL-terminated arrays.
using TensorInfo = rsq_tensor_info;
using NodeInfo = rsq_node_info;

// An immutable float graph.
class Graph : public Handle<rsq_graph, rsq_graph_free> {
public:
    using Handle::Handle;
    static Outcome<Graph> from_onnx_file(const std::string& path, const Context& context = {}) {
        return detail::make<Graph>(rsq_graph_from_onnx_file, context.get(), path.c_str());
    }
    static Outcome<Graph> from_onnx_bytes(const void* bytes, std::size_t size, const Context& context = {}) {
        return detail::make<Graph>(rsq_graph_from_onnx_bytes, context.get(), bytes, size);
    }
    std::size_t input_count() const { return rsq_graph_input_count(get()); }
    std::size_t output_count() const { return rsq_graph_output_count(get()); }
    std::size_t node_count() const { return rsq_graph_node_count(get()); }
    // By name: their places among inputs and outputs.
    Outcome<std::size_t> input_index(const std::string& name) const { return detail::index_of(rsq_graph_input_index, get(), name); }
    Outcome<std::size_t> output_index(const std::string& name) const { return detail::index_of(rsq_graph_output_index, get(), name); }
    Outcome<TensorInfo> input(std::size_t index) const { return detail::info(rsq_graph_input_info, get(), index); }
    Outcome<TensorInfo> output(std::size_t index) const { return detail::info(rsq_graph_output_info, get(), index); }
    Outcome<NodeInfo> node(std::size_t index) const { return detail::info(rsq_graph_node_info, get(), index); }
};

}  // namespace rsquant

#endif  // RSQUANT_GRAPH_HPP
