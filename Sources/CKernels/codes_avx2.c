// Kernels for codes with AVX2. Its byte product adds neighbours in 16 bits and saturates there with
// whole bytes, never with four bits: whole codes are two sums of four bits.
#if defined(__x86_64__)

#include "codes.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define INLINE AVX2 static inline __attribute__((always_inline))

INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

// 32 bytes of a half with what they are multiplied by, in 16 bits: four products, each at most
// 15 * 127.
INLINE __m256i products(__m256i bytes, __m256i q, __m256i r) {
    __m256i m = _mm256_set1_epi8(15);
    __m256i one = _mm256_maddubs_epi16(_mm256_and_si256(bytes, m), q);
    __m256i two = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), m), r);
    return _mm256_add_epi16(one, two);
}

INLINE __m256i widened(__m256i words) {
    return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
}

INLINE int32_t sum_of(__m256i s) {
    __m128i q = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4E));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0xB1));
    return _mm_cvtsi128_si32(q);
}

INLINE int32_t coarse(const uint8_t *high, size_t half, const int8_t *query) {
    __m256i s0 = _mm256_setzero_si256(), s1 = s0;
    for (size_t j = 0; j < half; j += 64) {
        __m256i one = products(load(high + j), load(query + j), load(query + half + j));
        __m256i two = products(load(high + j + 32), load(query + j + 32),
                               load(query + half + j + 32));
        s0 = _mm256_add_epi32(s0, widened(one));
        s1 = _mm256_add_epi32(s1, widened(two));
    }
    return sum_of(_mm256_add_epi32(s0, s1));
}

INLINE int32_t dot(const uint8_t *high, const uint8_t *low, size_t half, const int8_t *query) {
    __m256i highs = _mm256_setzero_si256(), lows = highs;
    for (size_t j = 0; j < half; j += 32) {
        __m256i q = load(query + j), r = load(query + half + j);
        highs = _mm256_add_epi32(highs, widened(products(load(high + j), q, r)));
        lows = _mm256_add_epi32(lows, widened(products(load(low + j), q, r)));
    }
    return sum_of(_mm256_add_epi32(_mm256_slli_epi32(highs, 4), lows));
}

AVX2 static void dot_list(const uint8_t *high, const uint8_t *low, size_t half,
                          const uint32_t *ids, size_t count, const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)ids[i] * half;
        out[i] = dot(high + at, low + at, half, query);
    }
}

AVX2 static void dot_pair(const uint8_t *high, const uint8_t *low, size_t half,
                          const uint32_t *ids, size_t count, const int8_t *a, const int8_t *b,
                          int32_t *out_a, int32_t *out_b) {
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)ids[i] * half;
        out_a[i] = dot(high + at, low + at, half, a);
        out_b[i] = dot(high + at, low + at, half, b);
    }
}

AVX2 static void coarse_list(const uint8_t *high, size_t half, const uint32_t *ids, size_t count,
                             const int8_t *query, int32_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = coarse(high + (size_t)ids[i] * half, half, query);
}

AVX2 static void coarse_rows(const uint8_t *high, size_t half, size_t count, const int8_t *query,
                             int32_t *out) {
    for (size_t i = 0; i < count; i++, high += half) {
        mk_fetch(high + 4096, half);
        out[i] = coarse(high, half, query);
    }
}

const mk_code_kernels mk_avx2_code_kernels = {
    MK_CODES_AVX2, "avx2", dot_list, dot_pair, coarse_list, coarse_rows,
    plain_keep, plain_unmarked,
};

#endif
