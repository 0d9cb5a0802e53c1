// Chooses kernels for codes by what the CPU and the operating system support.
#include "codes.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__aarch64__)
static int has_dot_products(void) {
#if defined(__APPLE__)
    return 1;  // every Apple chip that macOS runs on
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0;  // HWCAP_ASIMDDP
#else
    return 0;
#endif
}
#endif

const mk_code_kernels *mk_code_kernels_for(int level) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    switch (level) {
        case MK_CODES_SCALAR: return &mk_scalar_code_kernels;
#if defined(__x86_64__)
        case MK_CODES_AVX2:
            return __builtin_cpu_supports("avx2") ? &mk_avx2_code_kernels : NULL;
        case MK_CODES_VNNI:
            return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512vnni")
                       ? &mk_vnni_code_kernels
                       : NULL;
#elif defined(__aarch64__)
        case MK_CODES_NEON: return has_dot_products() ? &mk_neon_code_kernels : NULL;
#endif
        default: return NULL;
    }
}

static const mk_code_kernels *fastest(void) {
    static const int fastest_first[] = {MK_CODES_VNNI, MK_CODES_AVX2, MK_CODES_NEON};
    for (size_t i = 0; i < sizeof fastest_first / sizeof fastest_first[0]; i++) {
        const mk_code_kernels *kernels = mk_code_kernels_for(fastest_first[i]);
        if (kernels) return kernels;
    }
    return &mk_scalar_code_kernels;
}

const mk_code_kernels *mk_code_kernels_best(void) {
    // Threads that race here store the same pointer to a constant.
    static const mk_code_kernels *_Atomic best;
    const mk_code_kernels *known = __c11_atomic_load(&best, __ATOMIC_RELAXED);
    if (!known) {
        known = fastest();
        __c11_atomic_store(&best, known, __ATOMIC_RELAXED);
    }
    return known;
}
