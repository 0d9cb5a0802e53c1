// Kernels for codes in plain C: the fallback of every CPU, and what the others are tested against.
#include "codes.h"

static int32_t coarse(const uint8_t *high, size_t half, const int8_t *query) {
    int32_t sum = 0;
    for (size_t j = 0; j < half; j++) {
        sum += (high[j] & 15) * query[j] + (high[j] >> 4) * query[half + j];
    }
    return sum;
}

// The low half counts once, the high half sixteen times.
static int32_t dot(const uint8_t *high, const uint8_t *low, size_t half, const int8_t *query) {
    return 16 * coarse(high, half, query) + coarse(low, half, query);
}

static void dot_list(const uint8_t *high, const uint8_t *low, size_t half, const uint32_t *ids,
                     size_t count, const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)ids[i] * half;
        out[i] = dot(high + at, low + at, half, query);
    }
}

static void dot_pair(const uint8_t *high, const uint8_t *low, size_t half, const uint32_t *ids,
                     size_t count, const int8_t *a, const int8_t *b, int32_t *out_a,
                     int32_t *out_b) {
    dot_list(high, low, half, ids, count, a, out_a);
    dot_list(high, low, half, ids, count, b, out_b);
}

static void coarse_list(const uint8_t *high, size_t half, const uint32_t *ids, size_t count,
                        const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = coarse(high + (size_t)ids[i] * half, half, query);
}

static void coarse_rows(const uint8_t *high, size_t half, size_t count, const int8_t *query,
                        int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = coarse(high + i * half, half, query);
}

const mk_code_kernels mk_scalar_code_kernels = {
    MK_CODES_SCALAR, "scalar", dot_list, dot_pair, coarse_list, coarse_rows,
    plain_keep, plain_unmarked,
};
