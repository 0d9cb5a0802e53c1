// What the kernel files share: the tables that detect.c chooses from, and how far to prefetch.
#ifndef MORAINE_KERNELS_PRIVATE_H
#define MORAINE_KERNELS_PRIVATE_H

#include "include/CKernels.h"

// Contraction would let the compiler fuse a product and a sum in one place and not in another:
// scores would depend on inlining. Kernels fuse explicitly or not at all.
#pragma STDC FP_CONTRACT OFF

extern const mk_kernels mk_scalar_kernels;
#if defined(__x86_64__)
extern const mk_kernels mk_avx2_kernels;
extern const mk_kernels mk_avx512_kernels;
#endif
#if defined(__aarch64__)
extern const mk_kernels mk_neon_kernels;
#endif

// How many rows ahead to prefetch: four of 384 floats. Between 3 and 8 KiB a scan of 1 GiB runs at
// the speed of reading it; from 12 KiB batches of 16 rows lose a tenth, at 24 KiB all scans do.
static inline size_t mk_rows_ahead(size_t stride) {
    const size_t bytes_ahead = 6144;
    size_t row_bytes = stride * sizeof(float);
    size_t rows = row_bytes == 0 ? 1 : bytes_ahead / row_bytes;
    return rows < 1 ? 1 : rows;
}

// Defines NAME as ROW over every row. ROW is an always-inline function (a, b, n, ahead) that
// prefetches 64-byte lines at `ahead` as it goes, or nothing when `ahead` is NULL.
#define MK_DEFINE_ROWS(NAME, ROW, TARGET)                                                     \
    TARGET static void NAME(const float *query, const float *rows, size_t stride, size_t n,   \
                            size_t row_count, float *out) {                                   \
        const size_t ahead = mk_rows_ahead(stride);                                           \
        size_t i = 0;                                                                         \
        if (row_count > ahead) {                                                              \
            for (; i < row_count - ahead; i++, rows += stride)                                \
                out[i] = ROW(query, rows, n, rows + ahead * stride);                          \
        }                                                                                     \
        for (; i < row_count; i++, rows += stride) out[i] = ROW(query, rows, n, NULL);        \
    }

#endif
