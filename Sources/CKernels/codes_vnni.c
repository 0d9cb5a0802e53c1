// Kernels for codes with AVX-512's byte products: four codes at a time, so that the query is
// loaded once for the four and their sums are reduced together.
#if defined(__x86_64__)

#include "codes.h"

#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define INLINE VNNI static inline __attribute__((always_inline))

INLINE __m512i load(const void *p) { return _mm512_loadu_si512(p); }

INLINE __m512i high_bits(void) { return _mm512_set1_epi8((char)0xF0); }

// x where the high four bits of bytes are, y elsewhere.
INLINE __m512i mixed(__m512i x, __m512i y) {
    return _mm512_ternarylogic_epi32(high_bits(), x, y, 0xCA);
}

// The first numbers of codes whose halves are h and l, and those n/2 farther on.
INLINE __m512i first(__m512i h, __m512i l) { return mixed(_mm512_slli_epi16(h, 4), l); }
INLINE __m512i second(__m512i h, __m512i l) { return mixed(h, _mm512_srli_epi16(l, 4)); }

INLINE __m256i halves(__m512i s) {
    return _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
}

// The sums of four registers are stored to out[0...3].
INLINE void store_sums(__m512i sa, __m512i sb, __m512i sc, __m512i sd, int32_t *out) {
    __m256i ab = _mm256_hadd_epi32(halves(sa), halves(sb));
    __m256i cd = _mm256_hadd_epi32(halves(sc), halves(sd));
    __m256i all = _mm256_hadd_epi32(ab, cd);
    _mm_storeu_si128((__m128i *)out, _mm_add_epi32(_mm256_castsi256_si128(all),
                                                   _mm256_extracti128_si256(all, 1)));
}

// Where four codes are.
typedef struct {
    size_t a, b, c, d;
} places;

INLINE places places_of(const uint32_t *ids, size_t half) {
    places at = {ids[0] * half, ids[1] * half, ids[2] * half, ids[3] * half};
    return at;
}

// Calls `four` with four ids at a time; the last ones are filled up with one of them.
#define FOUR_BY_FOUR(count, ids, four, rest)                                  \
    size_t i = 0;                                                             \
    for (; i + 4 <= (count); i += 4) {                                        \
        places at = places_of((ids) + i, half);                               \
        four;                                                                 \
    }                                                                         \
    if (i < (count)) {                                                        \
        uint32_t last[4];                                                     \
        for (size_t k = 0; k < 4; k++) last[k] = (ids)[i + k < (count) ? i + k : i]; \
        places at = places_of(last, half);                                    \
        rest;                                                                 \
    }

INLINE void dot_four(const uint8_t *high, const uint8_t *low, size_t half, places at,
                     const int8_t *query, int32_t *out) {
    __m512i sa = _mm512_setzero_si512(), sb = sa, sc = sa, sd = sa;
    for (size_t j = 0; j < half; j += 64) {
        __m512i q = load(query + j), r = load(query + half + j);
        __m512i ha = load(high + at.a + j), la = load(low + at.a + j);
        __m512i hb = load(high + at.b + j), lb = load(low + at.b + j);
        __m512i hc = load(high + at.c + j), lc = load(low + at.c + j);
        __m512i hd = load(high + at.d + j), ld = load(low + at.d + j);
        sa = _mm512_dpbusd_epi32(sa, first(ha, la), q);
        sb = _mm512_dpbusd_epi32(sb, first(hb, lb), q);
        sc = _mm512_dpbusd_epi32(sc, first(hc, lc), q);
        sd = _mm512_dpbusd_epi32(sd, first(hd, ld), q);
        sa = _mm512_dpbusd_epi32(sa, second(ha, la), r);
        sb = _mm512_dpbusd_epi32(sb, second(hb, lb), r);
        sc = _mm512_dpbusd_epi32(sc, second(hc, lc), r);
        sd = _mm512_dpbusd_epi32(sd, second(hd, ld), r);
    }
    store_sums(sa, sb, sc, sd, out);
}

// Four codes with two queries: sixteen products for twelve loads.
INLINE void pair_four(const uint8_t *high, const uint8_t *low, size_t half, places at,
                      const int8_t *a, const int8_t *b, int32_t *out_a, int32_t *out_b) {
    size_t places[4] = {at.a, at.b, at.c, at.d};
    __m512i sums_a[4], sums_b[4];
    for (int k = 0; k < 4; k++) sums_a[k] = sums_b[k] = _mm512_setzero_si512();
    for (size_t j = 0; j < half; j += 64) {
        __m512i aq = load(a + j), ar = load(a + half + j);
        __m512i bq = load(b + j), br = load(b + half + j);
        for (int k = 0; k < 4; k++) {
            __m512i h = load(high + places[k] + j), l = load(low + places[k] + j);
            __m512i one = first(h, l), two = second(h, l);
            sums_a[k] = _mm512_dpbusd_epi32(sums_a[k], one, aq);
            sums_b[k] = _mm512_dpbusd_epi32(sums_b[k], one, bq);
            sums_a[k] = _mm512_dpbusd_epi32(sums_a[k], two, ar);
            sums_b[k] = _mm512_dpbusd_epi32(sums_b[k], two, br);
        }
    }
    store_sums(sums_a[0], sums_a[1], sums_a[2], sums_a[3], out_a);
    store_sums(sums_b[0], sums_b[1], sums_b[2], sums_b[3], out_b);
}

// The high bits stay where they are: their sums are sixteen times too large, exactly.
INLINE __m512i coarse_sum(__m512i lows, __m512i highs) {
    return _mm512_add_epi32(lows, _mm512_srai_epi32(highs, 4));
}

INLINE void coarse_four(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
                        size_t half, const int8_t *query, int32_t *out) {
    __m512i la = _mm512_setzero_si512(), lb = la, lc = la, ld = la;
    __m512i ha = la, hb = la, hc = la, hd = la;
    __m512i m = high_bits();
    for (size_t j = 0; j < half; j += 64) {
        __m512i q = load(query + j), r = load(query + half + j);
        __m512i xa = load(a + j), xb = load(b + j), xc = load(c + j), xd = load(d + j);
        la = _mm512_dpbusd_epi32(la, _mm512_andnot_si512(m, xa), q);
        lb = _mm512_dpbusd_epi32(lb, _mm512_andnot_si512(m, xb), q);
        lc = _mm512_dpbusd_epi32(lc, _mm512_andnot_si512(m, xc), q);
        ld = _mm512_dpbusd_epi32(ld, _mm512_andnot_si512(m, xd), q);
        ha = _mm512_dpbusd_epi32(ha, _mm512_and_si512(m, xa), r);
        hb = _mm512_dpbusd_epi32(hb, _mm512_and_si512(m, xb), r);
        hc = _mm512_dpbusd_epi32(hc, _mm512_and_si512(m, xc), r);
        hd = _mm512_dpbusd_epi32(hd, _mm512_and_si512(m, xd), r);
    }
    store_sums(coarse_sum(la, ha), coarse_sum(lb, hb), coarse_sum(lc, hc), coarse_sum(ld, hd),
               out);
}

VNNI static void dot_list(const uint8_t *high, const uint8_t *low, size_t half,
                          const uint32_t *ids, size_t count, const int8_t *query, int32_t *out) {
    int32_t sums[4];
    FOUR_BY_FOUR(count, ids, dot_four(high, low, half, at, query, out + i),
                 dot_four(high, low, half, at, query, sums))
    for (size_t k = 0; i + k < count; k++) out[i + k] = sums[k];
}

VNNI static void dot_pair(const uint8_t *high, const uint8_t *low, size_t half,
                          const uint32_t *ids, size_t count, const int8_t *a, const int8_t *b,
                          int32_t *out_a, int32_t *out_b) {
    int32_t sums_a[4], sums_b[4];
    FOUR_BY_FOUR(count, ids, pair_four(high, low, half, at, a, b, out_a + i, out_b + i),
                 pair_four(high, low, half, at, a, b, sums_a, sums_b))
    for (size_t k = 0; i + k < count; k++) {
        out_a[i + k] = sums_a[k];
        out_b[i + k] = sums_b[k];
    }
}

VNNI static void coarse_list(const uint8_t *high, size_t half, const uint32_t *ids, size_t count,
                             const int8_t *query, int32_t *out) {
    int32_t sums[4];
    FOUR_BY_FOUR(count, ids,
                 coarse_four(high + at.a, high + at.b, high + at.c, high + at.d, half, query,
                             out + i),
                 coarse_four(high + at.a, high + at.b, high + at.c, high + at.d, half, query, sums))
    for (size_t k = 0; i + k < count; k++) out[i + k] = sums[k];
}

VNNI static void coarse_rows(const uint8_t *high, size_t half, size_t count, const int8_t *query,
                             int32_t *out) {
    size_t i = 0;
    for (; i + 4 <= count; i += 4, high += 4 * half) {
        // What lies 4 KiB ahead: a fetch beyond the end of memory does nothing.
        mk_fetch(high + 4096, 4 * half);
        coarse_four(high, high + half, high + 2 * half, high + 3 * half, half, query, out + i);
    }
    for (; i < count; i++, high += half) {
        int32_t sums[4];
        coarse_four(high, high, high, high, half, query, sums);
        out[i] = sums[0];
    }
}

// keep for a pool of at most 16 * N nodes, which stays in 2 * N registers meanwhile. Written and read
// again for each node, a pool would be read before its last write has left the store buffer.
INLINE size_t keep_in(const size_t N, const mk_pool *pool, const int32_t *keys,
                      const uint32_t *nodes, size_t count, const uint32_t *links, size_t stride) {
    __m512i pool_keys[8], pool_nodes[8];
    for (size_t v = 0; v < N; v++) {
        pool_keys[v] = load(pool->keys + 16 * v);
        pool_nodes[v] = load(pool->nodes + 16 * v);
    }
    __m512i bar = _mm512_set1_epi32(pool->keys[pool->width - 1]);
    size_t first = pool->width;
    for (size_t start = 0; start < count; start += 16) {
        unsigned near = _mm512_cmpgt_epi32_mask(load(keys + start), bar);
        if (count - start < 16) near &= (1u << (count - start)) - 1;
        // Those that others of the same call have put behind the last place are lost there.
        for (; near; near &= near - 1) {
            size_t i = start + (size_t)__builtin_ctz(near);
            __m512i key = _mm512_set1_epi32(keys[i]), node = _mm512_set1_epi32((int)nodes[i]);
            __builtin_prefetch(links + nodes[i] * stride);
            __builtin_prefetch(links + nodes[i] * stride + 16);
            __m512i before_keys = pool_keys[0], before_nodes = pool_nodes[0];
            size_t place = 0;
            unsigned passed = 1;
            for (size_t v = 0; v < N; v++) {
                // The first lanes stay, one takes the node, the others go up by one.
                unsigned stay = _mm512_cmpge_epi32_mask(pool_keys[v], key);
                __mmask16 here = (__mmask16)((stay << 1 | passed) & ~stay);
                passed = stay >> 15;
                place += (size_t)__builtin_popcount(stay);
                __m512i up_keys = _mm512_alignr_epi32(pool_keys[v], before_keys, 15);
                __m512i up_nodes = _mm512_alignr_epi32(pool_nodes[v], before_nodes, 15);
                before_keys = pool_keys[v];
                before_nodes = pool_nodes[v];
                up_keys = _mm512_mask_mov_epi32(up_keys, (__mmask16)stay, before_keys);
                up_nodes = _mm512_mask_mov_epi32(up_nodes, (__mmask16)stay, before_nodes);
                pool_keys[v] = _mm512_mask_mov_epi32(up_keys, here, key);
                pool_nodes[v] = _mm512_mask_mov_epi32(up_nodes, here, node);
            }
            first = place < first ? place : first;
        }
    }
    for (size_t v = 0; v < N; v++) {
        _mm512_storeu_si512(pool->keys + 16 * v, pool_keys[v]);
        _mm512_storeu_si512(pool->nodes + 16 * v, pool_nodes[v]);
    }
    return first;
}

VNNI static size_t keep(const mk_pool *pool, const int32_t *keys, const uint32_t *nodes,
                        size_t count, const uint32_t *links, size_t stride) {
    switch ((pool->width + 15) / 16) {
        case 1: return keep_in(1, pool, keys, nodes, count, links, stride);
        case 2: return keep_in(2, pool, keys, nodes, count, links, stride);
        case 3: return keep_in(3, pool, keys, nodes, count, links, stride);
        case 4: return keep_in(4, pool, keys, nodes, count, links, stride);
        case 5: case 6: return keep_in(6, pool, keys, nodes, count, links, stride);
        case 7: case 8: return keep_in(8, pool, keys, nodes, count, links, stride);
        default: return plain_keep(pool, keys, nodes, count, links, stride);
    }
}

// Looks at sixteen marks at once, then again at the few that are left, as a row that is being written
// may name a node twice.
__attribute__((no_sanitize("thread")))
VNNI static size_t unmarked(const uint32_t *words, size_t n, uint32_t *marks, uint32_t *out) {
    __m512i one = _mm512_set1_epi32(1), low = _mm512_set1_epi32(31);
    size_t found = 0;
    for (size_t i = 0; i < n; i += 16) {
        __m512i row = load(words + i);
        unsigned used = _mm512_cmpneq_epi32_mask(row, _mm512_set1_epi32(-1));
        used = (~used & (used + 1)) - 1;  // those before the first that is not
        __m512i set = _mm512_mask_i32gather_epi32(row, (__mmask16)used, _mm512_srli_epi32(row, 5),
                                                  marks, 4);
        __m512i bit = _mm512_sllv_epi32(one, _mm512_and_si512(row, low));
        __mmask16 fresh = _mm512_mask_testn_epi32_mask((__mmask16)used, set, bit);
        _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(fresh, row));
        found += (size_t)__builtin_popcount(fresh);
        if (used != UINT16_MAX) break;
    }
    return plain_unmarked(out, found, marks, out);
}

const mk_code_kernels mk_vnni_code_kernels = {
    MK_CODES_VNNI, "vnni", dot_list, dot_pair, coarse_list, coarse_rows, keep, unmarked,
};

#endif
