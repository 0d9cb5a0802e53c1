// Chooses kernels by what the CPU and the operating system support.
#include "kernels.h"

const mk_kernels *mk_kernels_for(int level) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    switch (level) {
        case MK_SCALAR: return &mk_scalar_kernels;
#if defined(__x86_64__)
        case MK_AVX2:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                       ? &mk_avx2_kernels
                       : NULL;
        case MK_AVX512: return __builtin_cpu_supports("avx512f") ? &mk_avx512_kernels : NULL;
#elif defined(__aarch64__)
        case MK_NEON: return &mk_neon_kernels;
#endif
        default: return NULL;
    }
}

static const mk_kernels *fastest(void) {
    static const int fastest_first[] = {MK_AVX512, MK_AVX2, MK_NEON};
    for (size_t i = 0; i < sizeof fastest_first / sizeof fastest_first[0]; i++) {
        const mk_kernels *kernels = mk_kernels_for(fastest_first[i]);
        if (kernels) return kernels;
    }
    return &mk_scalar_kernels;
}

const mk_kernels *mk_kernels_best(void) {
    // Threads that race here store the same pointer to a constant.
    static const mk_kernels *_Atomic best;
    const mk_kernels *known = __c11_atomic_load(&best, __ATOMIC_RELAXED);
    if (!known) {
        known = fastest();
        __c11_atomic_store(&best, known, __ATOMIC_RELAXED);
    }
    return known;
}
