// Kernels for codes with AVX2. Its byte product adds neighbours in 16 bits and saturates there, so
// bytes are widened first.
#if defined(__x86_64__)

#include "codes.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define INLINE AVX2 static inline __attribute__((always_inline))

INLINE __m256i wide_code(const uint8_t *p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

INLINE __m256i wide_query(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}

INLINE __m256i step(__m256i sum, __m256i code, const int8_t *query) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(code, wide_query(query)));
}

INLINE int32_t sum_of(__m256i s) {
    __m128i q = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4E));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0xB1));
    return _mm_cvtsi128_si32(q);
}

INLINE int32_t dot_one(const uint8_t *code, const int8_t *query, size_t n) {
    __m256i s0 = _mm256_setzero_si256(), s1 = s0;
    for (size_t i = 0; i < n; i += 32) {
        s0 = step(s0, wide_code(code + i), query + i);
        s1 = step(s1, wide_code(code + i + 16), query + i + 16);
    }
    return sum_of(_mm256_add_epi32(s0, s1));
}

AVX2 static int32_t dot(const uint8_t *code, const int8_t *query, size_t n) {
    return dot_one(code, query, n);
}

AVX2 static void dot_rows(const uint8_t *codes, size_t n, size_t count, const int8_t *query,
                          int32_t *out) {
    for (size_t i = 0; i < count; i++, codes += n) {
        mk_fetch_code(codes + 4096, n);
        out[i] = dot_one(codes, query, n);
    }
}

AVX2 static void dot_list(const uint8_t *codes, size_t n, const uint32_t *ids, size_t count,
                          const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = dot_one(codes + (size_t)ids[i] * n, query, n);
}

AVX2 static void dot_planes(const uint8_t *codes, size_t n, size_t count, const int8_t *high,
                            const int8_t *low, int32_t *out_high, int32_t *out_low) {
    for (size_t row = 0; row < count; row++, codes += n) {
        mk_fetch_code(codes + 4096, n);
        __m256i h0 = _mm256_setzero_si256(), h1 = h0, l0 = h0, l1 = h0;
        for (size_t i = 0; i < n; i += 32) {
            __m256i c0 = wide_code(codes + i), c1 = wide_code(codes + i + 16);
            h0 = step(h0, c0, high + i);
            l0 = step(l0, c0, low + i);
            h1 = step(h1, c1, high + i + 16);
            l1 = step(l1, c1, low + i + 16);
        }
        out_high[row] = sum_of(_mm256_add_epi32(h0, h1));
        out_low[row] = sum_of(_mm256_add_epi32(l0, l1));
    }
}

const mk_code_kernels mk_avx2_code_kernels = {
    MK_CODES_AVX2, "avx2", dot, dot_rows, dot_list, dot_planes,
};

#endif
