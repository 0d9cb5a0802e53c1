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

// The kernels of one instruction set.
//
// A code is n bytes, n a multiple of 64 up to 16,384, each 128 plus a value of -127 to 127; a query
// is n values of -127 to 127. Where the vector has fewer dimensions than n, the query's rest is
// zero, so that the code's does not matter. Results are sum(code[i] * query[i]): the inner product
// of the values plus 128 * sum(query[i]). No sum exceeds 31 bits. Any alignment.
typedef struct __attribute__((swift_attr("@Sendable"))) mk_code_kernels {
    int level;         // one of mk_code_level
    const char *name;  // "scalar", "avx2", "vnni", "neon"

    // One code.
    int32_t (*dot)(const uint8_t *code, const int8_t *query, size_t n);
    // out[i] is of the code at codes + i*n, for i < count. Fetches ahead.
    void (*dot_rows)(const uint8_t *codes, size_t n, size_t count, const int8_t *query,
                     int32_t *out);
    // out[i] is of the code at codes + ids[i]*n, for i < count. Callers fetch: mk_fetch_code.
    void (*dot_list)(const uint8_t *codes, size_t n, const uint32_t *ids, size_t count,
                     const int8_t *query, int32_t *out);
    // dot_rows with two queries at once: out_high with high, out_low with low. Reads codes once.
    void (*dot_planes)(const uint8_t *codes, size_t n, size_t count, const int8_t *high,
                       const int8_t *low, int32_t *out_high, int32_t *out_low);
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

// Asks for all lines of a code.
static inline void mk_fetch_code(const uint8_t *code, size_t n) {
    for (size_t i = 0; i < n; i += 64) __builtin_prefetch(code + i);
}

// How many of the first n keys, which descend, are not below a key.
//
// Halves down to 64, then counts: where a key belongs cannot be foretold, and a count without a
// branch for each key takes several at a time.
static inline size_t mk_rank(const int32_t *keys, size_t n, int32_t key) {
    size_t low = 0, end = n;
    while (end - low > 64) {
        size_t middle = (low + end) / 2;
        if (keys[middle] >= key) low = middle + 1;
        else end = middle;
    }
    int32_t passed = 0;
    for (size_t i = low; i < end; i++) passed += keys[i] >= key;
    return low + (size_t)passed;
}

// The values of a code as a query: out[i] = code[i] - 128. Returns 128 * sum(out[i]), what a
// result is too large by.
static inline int32_t mk_code_as_query(const uint8_t *code, size_t n, int8_t *out) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = (int8_t)(code[i] ^ 0x80);
        sum += out[i];
    }
    return 128 * sum;
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
