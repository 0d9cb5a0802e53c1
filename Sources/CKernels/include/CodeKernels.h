// Inner products of quantized vectors (codes): whole numbers, so that all instruction sets give
// identical results.
#ifndef MORAINE_CODE_KERNELS_H
#define MORAINE_CODE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma clang assume_nonnull begin

// Instruction sets that kernels for codes exist for. MK_CODES_VNNI is AVX-512 with its
// byte-product instruction; MK_CODES_NEON needs the dot-product extension of arm64.
enum mk_code_level { MK_CODES_SCALAR = 0, MK_CODES_AVX2 = 1, MK_CODES_VNNI = 2, MK_CODES_NEON = 3 };

// The nodes that a best-first search keeps, nearest first: keys, which descend, and nodes beside
// them. A place where nothing is kept yet has the key INT32_MIN and the node UINT32_MAX. Both have
// mk_pool_room(width) words at a multiple of 64 bytes; those behind the first `width` are the
// kernels' own.
typedef struct {
    int32_t *keys;
    uint32_t *nodes;
    size_t width;
} mk_pool;

static inline size_t mk_pool_room(size_t width) { return (width + 15) / 16 * 16 + 32; }

// The kernels of one instruction set.
//
// A code is n numbers, n a multiple of 128 up to 16,384, each a byte of 128 plus a value of -127 to
// 127. It is kept in two halves of n/2 bytes, the high and the low four bits of its bytes: byte j of
// a half has those of number j in its low bits and those of number n/2 + j in its high ones. So the
// high half alone is a coarse code, of numbers from 0 to 15, in half of the memory. The i-th code's
// halves are at high + i*half and low + i*half. A query is n values of -127 to 127. Where the vector
// has fewer dimensions than n, the query's rest is zero, so that the code's does not matter.
//
// Results are sum(number[j] * query[j]): of whole codes the inner product of the values plus
// 128 * sum(query[j]). No sum exceeds 31 bits. Any alignment. Callers of lists fetch: mk_fetch.
typedef struct __attribute__((swift_attr("@Sendable"))) mk_code_kernels {
    int level;         // one of mk_code_level
    const char *name;  // "scalar", "avx2", "vnni", "neon"

    // out[i] is of the code ids[i], for i < count.
    void (*dot_list)(const uint8_t *high, const uint8_t *low, size_t half, const uint32_t *ids,
                     size_t count, const int8_t *query, int32_t *out);
    // dot_list with two queries at once: out_a with a, out_b with b. Reads codes once.
    void (*dot_pair)(const uint8_t *high, const uint8_t *low, size_t half, const uint32_t *ids,
                     size_t count, const int8_t *a, const int8_t *b, int32_t *out_a,
                     int32_t *out_b);
    // out[i] is of the coarse code ids[i], for i < count.
    void (*coarse_list)(const uint8_t *high, size_t half, const uint32_t *ids, size_t count,
                        const int8_t *query, int32_t *out);
    // out[i] is of the coarse code i, for i < count. Fetches ahead.
    void (*coarse_rows)(const uint8_t *high, size_t half, size_t count, const int8_t *query,
                        int32_t *out);

    // Puts those of `count` nodes into the pool whose keys are above its last one, each behind those
    // that are not farther, and asks for the first two lines of their links, `stride` words a node.
    // Returns the first place that changed, width or more when none did. Keys are above INT32_MIN; they
    // are read up to the next multiple of 16.
    size_t (*keep)(const mk_pool *pool, const int32_t *keys, const uint32_t *nodes, size_t count,
                   const uint32_t *links, size_t stride);
    // The first words of a row, up to UINT32_MAX or n of them, a multiple of 16: those whose bit in
    // `marks` is not set are stored to out, once, and their bits are set. Returns how many. out has
    // room for n + 16. Others may write words at the same time (mk_store_shared).
    size_t (*unmarked)(const uint32_t *words, size_t n, uint32_t *marks, uint32_t *out);
} mk_code_kernels;

// The kernels of a level, or NULL when this CPU or this architecture lacks it.
// MK_CODES_SCALAR is always there. The table lives for ever.
const mk_code_kernels *_Nullable mk_code_kernels_for(int level);

// The fastest kernels of this CPU: the same table at every call.
const mk_code_kernels *mk_code_kernels_best(void);

// Words that threads write and read at the same time while a graph is built: each word is whole,
// and nothing else is promised.
static inline uint32_t mk_load_shared(const uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void mk_store_shared(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

// A lock of one byte, 0 when nobody has it, for a few instructions: who waits spins.
static inline void mk_spin_lock(uint8_t *lock) {
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
        while (__atomic_load_n(lock, __ATOMIC_RELAXED)) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
    }
}
static inline void mk_spin_unlock(uint8_t *lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

// Asks for the lines of n bytes.
static inline void mk_fetch(const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 64) __builtin_prefetch(bytes + i);
}

// The halves of the n bytes of a code.
static inline void mk_split_code(const uint8_t *code, size_t n, uint8_t *high, uint8_t *low) {
    size_t half = n / 2;
    for (size_t j = 0; j < half; j++) {
        uint8_t a = code[j], b = code[half + j];
        high[j] = (uint8_t)(a >> 4 | (b & 0xF0));
        low[j] = (uint8_t)((a & 15) | b << 4);
    }
}

// The bytes of a code from its halves; undoes mk_split_code.
static inline void mk_join_code(const uint8_t *high, const uint8_t *low, size_t n, uint8_t *code) {
    size_t half = n / 2;
    for (size_t j = 0; j < half; j++) {
        code[j] = (uint8_t)(high[j] << 4 | (low[j] & 15));
        code[half + j] = (uint8_t)((high[j] & 0xF0) | low[j] >> 4);
    }
}

// The values of a code as a query. Returns 128 * their sum, what a result is too large by.
static inline int32_t mk_code_as_query(const uint8_t *high, const uint8_t *low, size_t n,
                                       int8_t *out) {
    // Of the bytes, which are 128 too large: compilers know an instruction for that sum.
    uint8_t *bytes = (uint8_t *)out;
    uint32_t sum = 0;
    mk_join_code(high, low, n, bytes);
    for (size_t i = 0; i < n; i++) sum += bytes[i];
    for (size_t i = 0; i < n; i++) bytes[i] ^= 0x80;
    return 128 * ((int32_t)sum - 128 * (int32_t)n);
}

// Numbers as whole steps: out[i] = values[i] * inverse, rounded to the nearest and bounded to -127
// to 127; a NaN becomes 127. Returns the sum of out.
static inline int32_t mk_quantize(const float *values, size_t n, float inverse, int8_t *out) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        float steps = values[i] * inverse;
        float bounded = steps < 127.0f ? (steps > -127.0f ? steps : -127.0f) : 127.0f;
        // Adding 1.5 * 2^23 leaves no room for a fraction; the low bits are the whole number.
        float shifted = bounded + 0x1.8p23f;
        int32_t bits;
        __builtin_memcpy(&bits, &shifted, sizeof bits);
        out[i] = (int8_t)bits;
        sum += (int8_t)bits;
    }
    return sum;
}

// The largest of the numbers' absolute values; 0 for none.
static inline float mk_largest(const float *values, size_t n) {
    float largest[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            float value = __builtin_fabsf(values[i + k]);
            largest[k] = value > largest[k] ? value : largest[k];
        }
    }
    for (; i < n; i++) {
        float value = __builtin_fabsf(values[i]);
        largest[0] = value > largest[0] ? value : largest[0];
    }
    float result = 0;
    for (size_t k = 0; k < 8; k++) result = largest[k] > result ? largest[k] : result;
    return result;
}

#pragma clang assume_nonnull end
#ifdef __cplusplus
}
#endif
#endif
