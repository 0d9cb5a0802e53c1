// Kernels for codes with AVX-512's byte products: four codes at a time, so that the query is
// loaded once for the four and their sums are reduced together.
#if defined(__x86_64__)

#include "codes.h"

#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define INLINE VNNI static inline __attribute__((always_inline))

INLINE __m512i load(const void *p) { return _mm512_loadu_si512(p); }

INLINE __m256i halves(__m512i s) {
    return _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
}

INLINE int32_t sum_of(__m512i s) {
    __m256i h = halves(s);
    __m128i q = _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0x4E));
    q = _mm_add_epi32(q, _mm_shuffle_epi32(q, 0xB1));
    return _mm_cvtsi128_si32(q);
}

INLINE int32_t dot_one(const uint8_t *code, const int8_t *query, size_t n) {
    __m512i s0 = _mm512_setzero_si512(), s1 = s0;
    size_t i = 0;
    for (; i + 128 <= n; i += 128) {
        s0 = _mm512_dpbusd_epi32(s0, load(code + i), load(query + i));
        s1 = _mm512_dpbusd_epi32(s1, load(code + i + 64), load(query + i + 64));
    }
    if (i < n) s0 = _mm512_dpbusd_epi32(s0, load(code + i), load(query + i));
    return sum_of(_mm512_add_epi32(s0, s1));
}

// The sums of four registers are stored to out[0...3].
INLINE void store_sums(__m512i sa, __m512i sb, __m512i sc, __m512i sd, int32_t *out) {
    __m256i ab = _mm256_hadd_epi32(halves(sa), halves(sb));
    __m256i cd = _mm256_hadd_epi32(halves(sc), halves(sd));
    __m256i all = _mm256_hadd_epi32(ab, cd);
    _mm_storeu_si128((__m128i *)out, _mm_add_epi32(_mm256_castsi256_si128(all),
                                                   _mm256_extracti128_si256(all, 1)));
}

// The four results are stored to out[0...3].
INLINE void dot_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
                     const int8_t *query, size_t n, int32_t *out) {
    __m512i sa = _mm512_setzero_si512(), sb = sa, sc = sa, sd = sa;
    for (size_t i = 0; i < n; i += 64) {
        __m512i q = load(query + i);
        sa = _mm512_dpbusd_epi32(sa, load(a + i), q);
        sb = _mm512_dpbusd_epi32(sb, load(b + i), q);
        sc = _mm512_dpbusd_epi32(sc, load(c + i), q);
        sd = _mm512_dpbusd_epi32(sd, load(d + i), q);
    }
    store_sums(sa, sb, sc, sd, out);
}

// Four neighbouring codes with two queries: eight products for six loads.
INLINE void planes_four(const uint8_t *codes, size_t n, const int8_t *high, const int8_t *low,
                        int32_t *out_high, int32_t *out_low) {
    __m512i ha = _mm512_setzero_si512(), hb = ha, hc = ha, hd = ha;
    __m512i la = ha, lb = ha, lc = ha, ld = ha;
    for (size_t i = 0; i < n; i += 64) {
        __m512i h = load(high + i), l = load(low + i);
        __m512i a = load(codes + i), b = load(codes + n + i);
        __m512i c = load(codes + 2 * n + i), d = load(codes + 3 * n + i);
        ha = _mm512_dpbusd_epi32(ha, a, h);
        hb = _mm512_dpbusd_epi32(hb, b, h);
        hc = _mm512_dpbusd_epi32(hc, c, h);
        hd = _mm512_dpbusd_epi32(hd, d, h);
        la = _mm512_dpbusd_epi32(la, a, l);
        lb = _mm512_dpbusd_epi32(lb, b, l);
        lc = _mm512_dpbusd_epi32(lc, c, l);
        ld = _mm512_dpbusd_epi32(ld, d, l);
    }
    store_sums(ha, hb, hc, hd, out_high);
    store_sums(la, lb, lc, ld, out_low);
}

VNNI static int32_t dot(const uint8_t *code, const int8_t *query, size_t n) {
    return dot_one(code, query, n);
}

VNNI static void dot_rows(const uint8_t *codes, size_t n, size_t count, const int8_t *query,
                          int32_t *out) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4, codes += 4 * n) {
        // What lies 4 KiB ahead: a fetch beyond the end of memory does nothing.
        for (size_t line = 0; line < 4 * n; line += 64) __builtin_prefetch(codes + 4096 + line);
        dot_four(codes, codes + n, codes + 2 * n, codes + 3 * n, query, n, out + i);
    }
    for (; i < count; i++, codes += n) out[i] = dot_one(codes, query, n);
}

VNNI static void dot_list(const uint8_t *codes, size_t n, const uint32_t *ids, size_t count,
                          const int8_t *query, int32_t *out) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        dot_four(codes + (size_t)ids[i] * n, codes + (size_t)ids[i + 1] * n,
                 codes + (size_t)ids[i + 2] * n, codes + (size_t)ids[i + 3] * n, query, n,
                 out + i);
    }
    for (; i < count; i++) out[i] = dot_one(codes + (size_t)ids[i] * n, query, n);
}

VNNI static void dot_planes(const uint8_t *codes, size_t n, size_t count, const int8_t *high,
                            const int8_t *low, int32_t *out_high, int32_t *out_low) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4, codes += 4 * n) {
        for (size_t line = 0; line < 4 * n; line += 64) __builtin_prefetch(codes + 4096 + line);
        planes_four(codes, n, high, low, out_high + i, out_low + i);
    }
    for (; i < count; i++, codes += n) {
        out_high[i] = dot_one(codes, high, n);
        out_low[i] = dot_one(codes, low, n);
    }
}

const mk_code_kernels mk_vnni_code_kernels = {
    MK_CODES_VNNI, "vnni", dot, dot_rows, dot_list, dot_planes,
};

#endif
