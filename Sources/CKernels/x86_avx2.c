// Kernels for AVX2 with fused multiply-add: four sums of eight floats.
#if defined(__x86_64__)

#include "kernels.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define INLINE AVX2 static inline __attribute__((always_inline))

// Sliding window: eight bits of -1 for the floats that exist, 0 for the rest.
static const int32_t tail_masks[15] = {-1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

INLINE __m256i tail_mask(size_t count) {
    return _mm256_loadu_si256((const __m256i *)(tail_masks + 7 - count));
}

INLINE float sum_of(__m256 s0, __m256 s1, __m256 s2, __m256 s3) {
    __m256 s = _mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

INLINE __m256 dot_step(__m256 x, __m256 y, __m256 s) { return _mm256_fmadd_ps(x, y, s); }

INLINE __m256 squared_l2_step(__m256 x, __m256 y, __m256 s) {
    __m256 difference = _mm256_sub_ps(x, y);
    return _mm256_fmadd_ps(difference, difference, s);
}

#define DEFINE_ROW(NAME, STEP)                                                                \
    INLINE float NAME(const float *a, const float *b, size_t n,                               \
                      const float *_Nullable ahead) {                                         \
        __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                           \
        size_t i = 0;                                                                         \
        for (; i + 32 <= n; i += 32) {                                                        \
            if (ahead) {                                                                      \
                _mm_prefetch((const char *)(ahead + i), _MM_HINT_T0);                         \
                _mm_prefetch((const char *)(ahead + i + 16), _MM_HINT_T0);                    \
            }                                                                                 \
            s0 = STEP(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);                    \
            s1 = STEP(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);            \
            s2 = STEP(_mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16), s2);          \
            s3 = STEP(_mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24), s3);          \
        }                                                                                     \
        for (; i + 8 <= n; i += 8) {                                                          \
            if (ahead) _mm_prefetch((const char *)(ahead + i), _MM_HINT_T0);                  \
            s0 = STEP(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);                    \
        }                                                                                     \
        if (i < n) {                                                                          \
            __m256i mask = tail_mask(n - i);                                                  \
            s1 = STEP(_mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask), s1);  \
        }                                                                                     \
        return sum_of(s0, s1, s2, s3);                                                        \
    }

DEFINE_ROW(dot_row, dot_step)
DEFINE_ROW(squared_l2_row, squared_l2_step)

AVX2 static float dot(const float *a, const float *b, size_t n) { return dot_row(a, b, n, NULL); }

AVX2 static float squared_l2(const float *a, const float *b, size_t n) {
    return squared_l2_row(a, b, n, NULL);
}

MK_DEFINE_ROWS(dot_rows, dot_row, AVX2)
MK_DEFINE_ROWS(squared_l2_rows, squared_l2_row, AVX2)

const mk_kernels mk_avx2_kernels = {
    MK_AVX2, "avx2", dot, squared_l2, dot_rows, squared_l2_rows,
};

#endif
