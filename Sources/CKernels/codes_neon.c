// Kernels for codes with arm64's dot products. They multiply bytes of one sign, so 128 is taken
// from every code; 128 times the query's sum is added at the end.
#if defined(__aarch64__)

#include "codes.h"

#include <arm_neon.h>

#define NEON __attribute__((target("dotprod")))
#define INLINE NEON static inline __attribute__((always_inline))

INLINE int8x16_t code_at(const uint8_t *p) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)));
}

// 128 * sum(query).
INLINE int32_t offset_of(const int8_t *query, size_t n) {
    int32x4_t s = vdupq_n_s32(0);
    for (size_t i = 0; i < n; i += 16) s = vdotq_s32(s, vld1q_s8(query + i), vdupq_n_s8(1));
    return 128 * vaddvq_s32(s);
}

INLINE int32_t dot_values(const uint8_t *code, const int8_t *query, size_t n) {
    int32x4_t s0 = vdupq_n_s32(0), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < n; i += 64) {
        s0 = vdotq_s32(s0, code_at(code + i), vld1q_s8(query + i));
        s1 = vdotq_s32(s1, code_at(code + i + 16), vld1q_s8(query + i + 16));
        s2 = vdotq_s32(s2, code_at(code + i + 32), vld1q_s8(query + i + 32));
        s3 = vdotq_s32(s3, code_at(code + i + 48), vld1q_s8(query + i + 48));
    }
    return vaddvq_s32(vaddq_s32(vaddq_s32(s0, s1), vaddq_s32(s2, s3)));
}

NEON static int32_t dot(const uint8_t *code, const int8_t *query, size_t n) {
    return dot_values(code, query, n) + offset_of(query, n);
}

NEON static void dot_rows(const uint8_t *codes, size_t n, size_t count, const int8_t *query,
                          int32_t *out) {
    int32_t offset = offset_of(query, n);
    for (size_t i = 0; i < count; i++, codes += n) {
        mk_fetch_code(codes + 4096, n);
        out[i] = dot_values(codes, query, n) + offset;
    }
}

NEON static void dot_list(const uint8_t *codes, size_t n, const uint32_t *ids, size_t count,
                          const int8_t *query, int32_t *out) {
    int32_t offset = offset_of(query, n);
    for (size_t i = 0; i < count; i++) {
        out[i] = dot_values(codes + (size_t)ids[i] * n, query, n) + offset;
    }
}

NEON static void dot_planes(const uint8_t *codes, size_t n, size_t count, const int8_t *high,
                            const int8_t *low, int32_t *out_high, int32_t *out_low) {
    int32_t high_offset = offset_of(high, n), low_offset = offset_of(low, n);
    for (size_t row = 0; row < count; row++, codes += n) {
        mk_fetch_code(codes + 4096, n);
        int32x4_t h0 = vdupq_n_s32(0), h1 = h0, l0 = h0, l1 = h0;
        for (size_t i = 0; i < n; i += 32) {
            int8x16_t c0 = code_at(codes + i), c1 = code_at(codes + i + 16);
            h0 = vdotq_s32(h0, c0, vld1q_s8(high + i));
            l0 = vdotq_s32(l0, c0, vld1q_s8(low + i));
            h1 = vdotq_s32(h1, c1, vld1q_s8(high + i + 16));
            l1 = vdotq_s32(l1, c1, vld1q_s8(low + i + 16));
        }
        out_high[row] = vaddvq_s32(vaddq_s32(h0, h1)) + high_offset;
        out_low[row] = vaddvq_s32(vaddq_s32(l0, l1)) + low_offset;
    }
}

const mk_code_kernels mk_neon_code_kernels = {
    MK_CODES_NEON, "neon", dot, dot_rows, dot_list, dot_planes,
};

#endif
