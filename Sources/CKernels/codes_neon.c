// Kernels for codes with arm64's dot products. They multiply bytes of one sign, which numbers of
// four bits fit: whole codes are two sums of four bits.
#if defined(__aarch64__)

#include "codes.h"

#include <arm_neon.h>

#define NEON __attribute__((target("dotprod")))
#define INLINE NEON static inline __attribute__((always_inline))

// The sum so far and 16 bytes of a half with what they are multiplied by.
INLINE int32x4_t step(int32x4_t sum, const uint8_t *bytes, const int8_t *q, const int8_t *r) {
    uint8x16_t x = vld1q_u8(bytes);
    int8x16_t low = vreinterpretq_s8_u8(vandq_u8(x, vdupq_n_u8(15)));
    int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(x, 4));
    return vdotq_s32(vdotq_s32(sum, low, vld1q_s8(q)), high, vld1q_s8(r));
}

INLINE int32_t coarse(const uint8_t *high, size_t half, const int8_t *query) {
    int32x4_t s0 = vdupq_n_s32(0), s1 = s0, s2 = s0, s3 = s0;
    const int8_t *rest = query + half;
    for (size_t j = 0; j < half; j += 64) {
        s0 = step(s0, high + j, query + j, rest + j);
        s1 = step(s1, high + j + 16, query + j + 16, rest + j + 16);
        s2 = step(s2, high + j + 32, query + j + 32, rest + j + 32);
        s3 = step(s3, high + j + 48, query + j + 48, rest + j + 48);
    }
    return vaddvq_s32(vaddq_s32(vaddq_s32(s0, s1), vaddq_s32(s2, s3)));
}

INLINE int32_t dot(const uint8_t *high, const uint8_t *low, size_t half, const int8_t *query) {
    return 16 * coarse(high, half, query) + coarse(low, half, query);
}

NEON static void dot_list(const uint8_t *high, const uint8_t *low, size_t half,
                          const uint32_t *ids, size_t count, const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)ids[i] * half;
        out[i] = dot(high + at, low + at, half, query);
    }
}

NEON static void dot_pair(const uint8_t *high, const uint8_t *low, size_t half,
                          const uint32_t *ids, size_t count, const int8_t *a, const int8_t *b,
                          int32_t *out_a, int32_t *out_b) {
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)ids[i] * half;
        out_a[i] = dot(high + at, low + at, half, a);
        out_b[i] = dot(high + at, low + at, half, b);
    }
}

NEON static void coarse_list(const uint8_t *high, size_t half, const uint32_t *ids, size_t count,
                             const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = coarse(high + (size_t)ids[i] * half, half, query);
}

NEON static void coarse_rows(const uint8_t *high, size_t half, size_t count, const int8_t *query,
                             int32_t *out) {
    for (size_t i = 0; i < count; i++, high += half) {
        mk_fetch(high + 4096, half);
        out[i] = coarse(high, half, query);
    }
}

const mk_code_kernels mk_neon_code_kernels = {
    MK_CODES_NEON, "neon", dot_list, dot_pair, coarse_list, coarse_rows,
    plain_keep, plain_unmarked,
};

#endif
