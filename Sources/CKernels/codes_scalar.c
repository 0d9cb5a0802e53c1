// Kernels for codes in plain C: the fallback of every CPU, and what the others are tested against.
#include "codes.h"

static int32_t dot(const uint8_t *code, const int8_t *query, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (int32_t)code[i] * query[i];
    return sum;
}

static void dot_rows(const uint8_t *codes, size_t n, size_t count, const int8_t *query,
                     int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = dot(codes + i * n, query, n);
}

static void dot_list(const uint8_t *codes, size_t n, const uint32_t *ids, size_t count,
                     const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = dot(codes + (size_t)ids[i] * n, query, n);
}

static void dot_planes(const uint8_t *codes, size_t n, size_t count, const int8_t *high,
                       const int8_t *low, int32_t *out_high, int32_t *out_low) {
    dot_rows(codes, n, count, high, out_high);
    dot_rows(codes, n, count, low, out_low);
}

const mk_code_kernels mk_scalar_code_kernels = {
    MK_CODES_SCALAR, "scalar", dot, dot_rows, dot_list, dot_planes,
};
