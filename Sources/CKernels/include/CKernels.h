// The C of the project: distance kernels for each instruction set, the checksum, and shims for
// system calls. Everything here is stateless and may be called from any thread.
#ifndef MORAINE_CKERNELS_H
#define MORAINE_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "CodeKernels.h"
#include "SystemShims.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma clang assume_nonnull begin

// Instruction sets that kernels exist for. MK_AVX2 includes FMA; MK_AVX512 needs only its
// foundation (F); MK_NEON is every arm64.
enum mk_level { MK_SCALAR = 0, MK_AVX2 = 1, MK_AVX512 = 2, MK_NEON = 3 };

// The kernels of one instruction set.
//
// Shapes: n is the number of floats in a vector, any n >= 0; stride is the number of floats from
// the start of a row to the start of the next, stride >= n. Any alignment that float allows. No
// byte outside the n floats of a row is read; memory outside the rows is never touched.
//
// Accuracy: with u = 2^-24, g(m) = m*u / (1 - m*u), and |.| the exact values,
//   |dot - exact|        <= g(n)     * sum |a[i]*b[i]|     + n * 2^-149
//   |squared_l2 - exact| <= g(n + 2) * sum (a[i] - b[i])^2 + n * 2^-149
// as long as the sum on the right stays below FLT_MAX; the last term is underflow (subnormal
// numbers are honoured). It holds for every order of summation: a term passes through at most one
// rounding of its product and n - 1 of sums (adding an exact zero rounds nothing); the difference
// adds one rounding, twice because it is squared. Beyond FLT_MAX the result is infinite or not a
// number, as it is with infinities and NaNs among the inputs.
//
// Order: a level always sums in the same order, so that one pair of vectors has one score: dot of
// a row and the same row's value from dot_rows have the same bits. Levels differ in last bits.
// Swift may share it between threads: it is constant.
typedef struct __attribute__((swift_attr("@Sendable"))) mk_kernels {
    int level;         // one of mk_level
    const char *name;  // "scalar", "avx2", "avx512", "neon"

    // Inner product of two vectors.
    float (*dot)(const float *a, const float *b, size_t n);
    // Square of the Euclidean distance of two vectors.
    float (*squared_l2)(const float *a, const float *b, size_t n);

    // out[i] = dot(query, rows + i*stride, n) for i < row_count. Fetches rows ahead of their use:
    // prefer one call for many rows that lie together.
    void (*dot_rows)(const float *query, const float *rows, size_t stride, size_t n,
                     size_t row_count, float *out);
    // out[i] = squared_l2(query, rows + i*stride, n) for i < row_count. As dot_rows.
    void (*squared_l2_rows)(const float *query, const float *rows, size_t stride, size_t n,
                            size_t row_count, float *out);
} mk_kernels;

// The kernels of a level, or NULL when this CPU or this architecture lacks it.
// MK_SCALAR is always there. The table lives for ever.
const mk_kernels *_Nullable mk_kernels_for(int level);

// The fastest kernels of this CPU: the same table at every call.
const mk_kernels *mk_kernels_best(void);

// The sum of the squares of n numbers in f64, where the square of an f32 is exact: number i is added
// to sum i mod 8, in ascending order, and the sums s0 to s7 are added as
// ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)). format-spec/vector.md fixes this order, so that
// the result has the same bits everywhere; one sum alone would wait for itself at each number.
static inline double mk_square_sum(const float *values, size_t n) {
    double s[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++) s[k] += (double)values[i + k] * (double)values[i + k];
    }
    for (; i < n; i++) s[i % 8] += (double)values[i] * (double)values[i];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// CRC-32C (Castagnoli: polynomial 0x1EDC6F41, reflected, initial value and final xor 0xFFFFFFFF;
// "123456789" gives 0xE3069283) of n bytes that follow bytes whose checksum is crc; crc = 0
// starts. crc(a then b) = mk_crc32c(mk_crc32c(0, a), b). Uses the CPU's instruction if it has one.
// data may be NULL when n is 0. Not to be called from another file's constructor functions.
uint32_t mk_crc32c(uint32_t crc, const void *_Nullable data, size_t n);

// The same checksum without special instructions, about 1.5 GB/s: what mk_crc32c falls back to,
// and what it is tested against.
uint32_t mk_crc32c_software(uint32_t crc, const void *_Nullable data, size_t n);

// The sum (mod 2^64) of the whole 8-byte words of n bytes, read as fast as memory gives them: what
// a scan of the same bytes is measured against. data may be NULL when n is 0.
uint64_t mk_read_sum(const void *_Nullable data, size_t n);

#pragma clang assume_nonnull end
#ifdef __cplusplus
}
#endif
#endif
