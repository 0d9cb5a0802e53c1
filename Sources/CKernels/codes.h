// What the kernel files for codes share.
#ifndef MORAINE_CODES_PRIVATE_H
#define MORAINE_CODES_PRIVATE_H

#include "include/CodeKernels.h"

extern const mk_code_kernels mk_scalar_code_kernels;
#if defined(__x86_64__)
extern const mk_code_kernels mk_avx2_code_kernels;
extern const mk_code_kernels mk_vnni_code_kernels;
#elif defined(__aarch64__)
extern const mk_code_kernels mk_neon_code_kernels;
#endif

// Codes of a list to fetch ahead of their use: as many lines as a core can wait for at once.
#define MK_CODES_AHEAD 8

// Asks for all lines of a code.
static inline __attribute__((always_inline)) void mk_fetch_code(const uint8_t *code, size_t n) {
    for (size_t i = 0; i < n; i += 64) __builtin_prefetch(code + i);
}

#endif
