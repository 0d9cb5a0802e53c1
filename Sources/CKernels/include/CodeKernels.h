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
    // out[i] is of the code at codes + ids[i]*n, for i < count. Fetches ahead.
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

#pragma clang assume_nonnull end
#ifdef __cplusplus
}
#endif
#endif
