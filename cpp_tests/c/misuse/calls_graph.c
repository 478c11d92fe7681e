/* Float graphs. */
#include "calls.h"

static int64_t call_from_file(void *const *a) { return rsq_graph_from_onnx_file(a[0], a[1], a[2]); }
static int64_t call_from_bytes(void *const *a) { return rsq_graph_from_onnx_bytes(a[0], a[1], onnx_size, a[2]); }
COUNT_CALL(rsq_graph_input_count)
COUNT_CALL(rsq_graph_output_count)
COUNT_CALL(rsq_graph_node_count)
INDEX_CALL(rsq_graph_input_index)
INDEX_CALL(rsq_graph_output_index)
INFO_CALL(rsq_graph_input_info)
INFO_CALL(rsq_graph_output_info)
INFO_CALL(rsq_graph_node_info)
FREE_CALL(rsq_graph_free)

const function *graph_calls(void) {
    static function rows[] = {
        {"rsq_graph_from_onnx_file", STATUS, call_from_file, {CONTEXT_OR_NULL, PATH_AT(onnx_path), NEW_OBJECT(OBJECT_GRAPH)}},
        {"rsq_graph_from_onnx_bytes", STATUS, call_from_bytes,
         {CONTEXT_OR_NULL, {"bytes", BYTES, OBJECT_TYPES, 0, NULL, 0}, NEW_OBJECT(OBJECT_GRAPH)}},
        {"rsq_graph_input_count", COUNT, call_rsq_graph_input_count, {HANDLE_OF("graph", OBJECT_GRAPH)}},
        {"rsq_graph_output_count", COUNT, call_rsq_graph_output_count, {HANDLE_OF("graph", OBJECT_GRAPH)}},
        {"rsq_graph_input_index", STATUS, call_rsq_graph_input_index, INDEX_OF("graph", OBJECT_GRAPH, "image")},
        {"rsq_graph_output_index", STATUS, call_rsq_graph_output_index, INDEX_OF("graph", OBJECT_GRAPH, "gemm102")},
        {"rsq_graph_input_info", STATUS, call_rsq_graph_input_info, {HANDLE_OF("graph", OBJECT_GRAPH), INFO_STRUCT(rsq_tensor_info)}},
        {"rsq_graph_output_info", STATUS, call_rsq_graph_output_info, {HANDLE_OF("graph", OBJECT_GRAPH), INFO_STRUCT(rsq_tensor_info)}},
        {"rsq_graph_node_count", COUNT, call_rsq_graph_node_count, {HANDLE_OF("graph", OBJECT_GRAPH)}},
        {"rsq_graph_node_info", STATUS, call_rsq_graph_node_info, {HANDLE_OF("graph", OBJECT_GRAPH), INFO_STRUCT(rsq_node_info)}},
        {"rsq_graph_free", NOTHING, call_rsq_graph_free, {{"graph", FRESH_HANDLE, OBJECT_GRAPH, 0, NULL, 1}}},
        END_OF_TABLE};
    rows[1].arguments[1].value = onnx_bytes;
    rows[1].arguments[1].size = onnx_size;
    return rows;
}
