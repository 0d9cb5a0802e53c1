// Kernels for arm64's vector registers: four sums of four floats.
#if defined(__aarch64__)

#include "kernels.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

INLINE float sum_of(float32x4_t s0, float32x4_t s1, float32x4_t s2, float32x4_t s3) {
    float32x4_t s = vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3));
    float32x2_t h = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}

INLINE float32x4_t dot_step(float32x4_t x, float32x4_t y, float32x4_t s) {
    return vfmaq_f32(s, x, y);
}

INLINE float32x4_t squared_l2_step(float32x4_t x, float32x4_t y, float32x4_t s) {
    float32x4_t difference = vsubq_f32(x, y);
    return vfmaq_f32(s, difference, difference);
}

// The last one to three floats, followed by zeros.
INLINE float32x4_t load_tail(const float *p, size_t count) {
    float padded[4] = {0};
    for (size_t i = 0; i < count; i++) padded[i] = p[i];
    return vld1q_f32(padded);
}

#define DEFINE_ROW(NAME, STEP)                                                                \
    INLINE float NAME(const float *a, const float *b, size_t n,                               \
                      const float *_Nullable ahead) {                                         \
        float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;                           \
        size_t i = 0;                                                                         \
        for (; i + 16 <= n; i += 16) {                                                        \
            if (ahead) __builtin_prefetch(ahead + i);                                         \
            s0 = STEP(vld1q_f32(a + i), vld1q_f32(b + i), s0);                                \
            s1 = STEP(vld1q_f32(a + i + 4), vld1q_f32(b + i + 4), s1);                        \
            s2 = STEP(vld1q_f32(a + i + 8), vld1q_f32(b + i + 8), s2);                        \
            s3 = STEP(vld1q_f32(a + i + 12), vld1q_f32(b + i + 12), s3);                      \
        }                                                                                     \
        for (; i + 4 <= n; i += 4) s0 = STEP(vld1q_f32(a + i), vld1q_f32(b + i), s0);         \
        if (i < n) s1 = STEP(load_tail(a + i, n - i), load_tail(b + i, n - i), s1);           \
        return sum_of(s0, s1, s2, s3);                                                        \
    }

DEFINE_ROW(dot_row, dot_step)
DEFINE_ROW(squared_l2_row, squared_l2_step)

static float dot(const float *a, const float *b, size_t n) { return dot_row(a, b, n, NULL); }

static float squared_l2(const float *a, const float *b, size_t n) {
    return squared_l2_row(a, b, n, NULL);
}

MK_DEFINE_ROWS(dot_rows, dot_row, )
MK_DEFINE_ROWS(squared_l2_rows, squared_l2_row, )

const mk_kernels mk_neon_kernels = {
    MK_NEON, "neon", dot, squared_l2, dot_rows, squared_l2_rows,
};

#endif
