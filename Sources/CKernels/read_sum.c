// A plain read of memory, for measuring how fast that can be.
#include "CKernels.h"

#include <string.h>

typedef uint64_t words __attribute__((vector_size(64)));

// The body is the same for all: a wider target only lets the compiler use wider loads.
static inline __attribute__((always_inline)) uint64_t read_sum(const unsigned char *p, size_t n) {
    words sums[4] = {{0}, {0}, {0}, {0}};
    size_t i = 0;
    for (; i + 256 <= n; i += 256) {
        // As the distance kernels do: fetch what comes half a kilobyte to two kilobytes later.
        for (size_t line = 0; line < 4; line++) {
            __builtin_prefetch(p + i + 1536 + 64 * line);
            words next;
            memcpy(&next, p + i + 64 * line, sizeof next);
            sums[line] += next;
        }
    }
    words all = sums[0] + sums[1] + sums[2] + sums[3];
    uint64_t sum = 0;
    for (size_t k = 0; k < 8; k++) sum += all[k];
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, sizeof word);
        sum += word;
    }
    return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static uint64_t read_sum_avx512(const unsigned char *p, size_t n) {
    return read_sum(p, n);
}
__attribute__((target("avx2"))) static uint64_t read_sum_avx2(const unsigned char *p, size_t n) {
    return read_sum(p, n);
}
#endif

uint64_t mk_read_sum(const void *data, size_t n) {
    if (n == 0) return 0;
#if defined(__x86_64__)
    int level = mk_kernels_best()->level;
    if (level == MK_AVX512) return read_sum_avx512(data, n);
    if (level == MK_AVX2) return read_sum_avx2(data, n);
#endif
    return read_sum(data, n);
}
