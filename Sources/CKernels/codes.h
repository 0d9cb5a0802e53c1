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

#endif
