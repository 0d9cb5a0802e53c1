// Kernels for AVX-512 (foundation only): four sums of sixteen floats.
#if defined(__x86_64__)

#include "kernels.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f")))
#define INLINE AVX512 static inline __attribute__((always_inline))

// By hand: _mm512_reduce_add_ps leaves the order of summation to the compiler.
INLINE float sum_of(__m512 s0, __m512 s1, __m512 s2, __m512 s3) {
    __m512 s = _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3));
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(s), 1));
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), high);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

INLINE __m512 dot_step(__m512 x, __m512 y, __m512 s) { return _mm512_fmadd_ps(x, y, s); }

INLINE __m512 squared_l2_step(__m512 x, __m512 y, __m512 s) {
    __m512 difference = _mm512_sub_ps(x, y);
    return _mm512_fmadd_ps(difference, difference, s);
}

INLINE __m512 load(const float *p) { return _mm512_loadu_ps(p); }

INLINE void fetch(const float *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }

#define DEFINE_ROW(NAME, STEP)                                                                \
    INLINE float NAME(const float *a, const float *b, size_t n,                               \
                      const float *_Nullable ahead) {                                         \
        __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;                           \
        size_t i = 0;                                                                         \
        for (; i + 64 <= n; i += 64) {                                                        \
            if (ahead) {                                                                      \
                fetch(ahead + i);                                                             \
                fetch(ahead + i + 16);                                                        \
                fetch(ahead + i + 32);                                                        \
                fetch(ahead + i + 48);                                                        \
            }                                                                                 \
            s0 = STEP(load(a + i), load(b + i), s0);                                          \
            s1 = STEP(load(a + i + 16), load(b + i + 16), s1);                                \
            s2 = STEP(load(a + i + 32), load(b + i + 32), s2);                                \
            s3 = STEP(load(a + i + 48), load(b + i + 48), s3);                                \
        }                                                                                     \
        for (; i + 16 <= n; i += 16) {                                                        \
            if (ahead) fetch(ahead + i);                                                      \
            s0 = STEP(load(a + i), load(b + i), s0);                                          \
        }                                                                                     \
        if (i < n) {                                                                          \
            if (ahead) fetch(ahead + i);                                                      \
            __mmask16 mask = (__mmask16)((1u << (n - i)) - 1);                                \
            s1 = STEP(_mm512_maskz_loadu_ps(mask, a + i),                                     \
                      _mm512_maskz_loadu_ps(mask, b + i), s1);                                \
        }                                                                                     \
        return sum_of(s0, s1, s2, s3);                                                        \
    }

DEFINE_ROW(dot_row, dot_step)
DEFINE_ROW(squared_l2_row, squared_l2_step)

AVX512 static float dot(const float *a, const float *b, size_t n) { return dot_row(a, b, n, NULL); }

AVX512 static float squared_l2(const float *a, const float *b, size_t n) {
    return squared_l2_row(a, b, n, NULL);
}

MK_DEFINE_ROWS(dot_rows, dot_row, AVX512)
MK_DEFINE_ROWS(squared_l2_rows, squared_l2_row, AVX512)

const mk_kernels mk_avx512_kernels = {
    MK_AVX512, "avx512", dot, squared_l2, dot_rows, squared_l2_rows,
};

#endif
