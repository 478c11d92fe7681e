/* The operator door. */
#include "calls.h"

enum { K = 4, N = 3, ROWS = 2 };

static const float weights[N * K] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const unsigned char bytes[ROWS * K] = {1, 2, 3, 4, 5, 6, 7, 8};
static const float floats[ROWS * K] = {-1, 0, 1, 2, 3, 4, 5, 6}, scale = 0.5f;
static unsigned char products[ROWS * N];
static const rsq_operator_options options = {sizeof options, 0, RSQ_DTYPE_U8, 0, 0.5f, 0, 0.5f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
static const rsq_dynamic_gemm_options dynamic = {sizeof dynamic, 0, 0, 0, 0, 0, 0, 0};
static float float_products[ROWS * N];
static const rsq_conv2d_sizes sizes = {sizeof sizes, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0};

static int64_t call_pack(void *const *a) { return rsq_pack_weights(a[0], a[1], a[2]); }
static int64_t call_scales(void *const *a) { return rsq_packed_scales(a[0], a[1], N, a[2]); }
static int64_t call_gemm_new(void *const *a) { return rsq_gemm_u8s8_new(a[0], a[1], a[2], a[3]); }
static int64_t call_conv_new(void *const *a) { return rsq_conv2d_u8s8_new(a[0], a[1], a[2], a[3], a[4]); }
static int64_t call_info(void *const *a) { return rsq_operator_get_info(a[0], a[1]); }
static int64_t call_gemm(void *const *a) { return rsq_gemm_u8s8(a[0], ROWS, a[1]); }
static int64_t call_dynamic_new(void *const *a) { return rsq_gemm_f32s8_new(a[0], a[1], a[2], a[3]); }
/* The living operator is a GEMM of bytes: one of floats stands for it here. */
static int64_t call_dynamic(void *const *a) {
    rsq_operator *gemm = NULL;
    int64_t status;
    if (a[0] == object_living(OBJECT_OPERATOR)) {
        status = rsq_gemm_f32s8_new(NULL, object_living(OBJECT_PACKED), &dynamic, &gemm);
        if (status != RSQ_OK) {
            return status;
        }
    }
    status = rsq_gemm_f32s8(gemm == NULL ? a[0] : gemm, ROWS, a[1]);
    rsq_operator_free(gemm);
    return status;
}
/* Likewise a convolution. */
static int64_t call_conv(void *const *a) {
    rsq_operator *conv = NULL;
    int64_t status;
    if (a[0] == object_living(OBJECT_OPERATOR)) {
        status = rsq_conv2d_u8s8_new(NULL, object_living(OBJECT_PACKED), &options, &sizes, &conv);
        if (status != RSQ_OK) {
            return status;
        }
    }
    status = rsq_conv2d_u8s8(conv == NULL ? a[0] : conv, ROWS, a[1]);
    rsq_operator_free(conv);
    return status;
}
static int64_t call_quantize(void *const *a) { return rsq_quantize(a[0], a[1], a[2], ROWS * K, a[3], ROWS * K); }
static int64_t call_dequantize(void *const *a) { return rsq_dequantize(a[0], a[1], a[2], ROWS * K, a[3], ROWS * K); }
FREE_CALL(rsq_packed_free)
FREE_CALL(rsq_operator_free)

#define FILLED(name, value) {name, IN_ARRAY, OBJECT_TYPES, sizeof value, &value, 0}

const function *operator_calls(void) {
    static const rsq_weights layer = {sizeof layer, RSQ_DTYPE_F32, 0, 0, weights, sizeof weights, N, K, 0, 0, 0, NULL, 0, NULL};
    static const rsq_operator_tensors tensors = {sizeof tensors, 0, bytes, sizeof bytes, NULL, 0, products, sizeof products, NULL, 0};
    static const rsq_operator_tensors float_tensors = {sizeof float_tensors, 0, floats, sizeof floats, NULL, 0, float_products,
                                                       sizeof float_products, NULL, 0};
    static const rsq_quantization quantization = {sizeof quantization, RSQ_DTYPE_U8, 0, 0, &scale, NULL, 0, 0};
    static const function rows[] = {
        {"rsq_pack_weights", STATUS, call_pack, {CONTEXT_OR_NULL, FILLED("weights", layer), NEW_OBJECT(OBJECT_PACKED)}},
        {"rsq_packed_scales", STATUS, call_scales,
         {HANDLE_OF("packed", OBJECT_PACKED), {"buffer", OUT_BUFFER, OBJECT_TYPES, N * sizeof(float), NULL, 1},
          {"out_count", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_packed_free", NOTHING, call_rsq_packed_free, {{"packed", FRESH_HANDLE, OBJECT_PACKED, 0, NULL, 1}}},
        {"rsq_gemm_u8s8_new", STATUS, call_gemm_new,
         {CONTEXT_OR_NULL, HANDLE_OF("packed", OBJECT_PACKED), FILLED("options", options), NEW_OBJECT(OBJECT_OPERATOR)}},
        {"rsq_conv2d_u8s8_new", STATUS, call_conv_new,
         {CONTEXT_OR_NULL, HANDLE_OF("packed", OBJECT_PACKED), FILLED("options", options), FILLED("sizes", sizes),
          NEW_OBJECT(OBJECT_OPERATOR)}},
        {"rsq_operator_get_info", STATUS, call_info, {HANDLE_OF("op", OBJECT_OPERATOR), INFO_STRUCT(rsq_operator_info)}},
        {"rsq_gemm_u8s8", STATUS, call_gemm, {HANDLE_OF("op", OBJECT_OPERATOR), FILLED("tensors", tensors)}},
        {"rsq_gemm_f32s8_new", STATUS, call_dynamic_new,
         {CONTEXT_OR_NULL, HANDLE_OF("packed", OBJECT_PACKED), FILLED("options", dynamic), NEW_OBJECT(OBJECT_OPERATOR)}},
        {"rsq_gemm_f32s8", STATUS, call_dynamic, {HANDLE_OF("op", OBJECT_OPERATOR), FILLED("tensors", float_tensors)}},
        {"rsq_conv2d_u8s8", STATUS, call_conv, {HANDLE_OF("op", OBJECT_OPERATOR), FILLED("tensors", tensors)}},
        {"rsq_operator_free", NOTHING, call_rsq_operator_free, {{"op", FRESH_HANDLE, OBJECT_OPERATOR, 0, NULL, 1}}},
        {"rsq_quantize", STATUS, call_quantize,
         {CONTEXT_OR_NULL, FILLED("quantization", quantization), FILLED("src", floats),
          {"dst", OUT_BUFFER, OBJECT_TYPES, ROWS * K, NULL, 0}}},
        {"rsq_dequantize", STATUS, call_dequantize,
         {CONTEXT_OR_NULL, FILLED("quantization", quantization), {"src", BYTES, OBJECT_TYPES, sizeof bytes, bytes, 0},
          {"dst", OUT_VALUE, OBJECT_TYPES, sizeof floats, NULL, 0}}},
        END_OF_TABLE};
    return rows;
}
