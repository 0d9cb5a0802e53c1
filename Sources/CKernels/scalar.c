// Kernels in plain C: the fallback of every CPU, and the easiest to read.
#include "kernels.h"

// Eight partial sums, so that a compiler may use the vector registers that every CPU of the
// architecture has without changing the order of summation.
#define LANES 8

static inline __attribute__((always_inline)) float sum_of(const float s[LANES]) {
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static inline __attribute__((always_inline)) float dot_row(
    const float *a, const float *b, size_t n, const float *_Nullable ahead) {
    float s[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        if (ahead) __builtin_prefetch(ahead + i);
        for (size_t j = 0; j < LANES; j++) {
            float product = a[i + j] * b[i + j];
            s[j] = s[j] + product;
        }
    }
    for (size_t j = 0; i < n; i++, j++) s[j] = s[j] + a[i] * b[i];
    return sum_of(s);
}

static inline __attribute__((always_inline)) float squared_l2_row(
    const float *a, const float *b, size_t n, const float *_Nullable ahead) {
    float s[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        if (ahead) __builtin_prefetch(ahead + i);
        for (size_t j = 0; j < LANES; j++) {
            float difference = a[i + j] - b[i + j];
            s[j] = s[j] + difference * difference;
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        float difference = a[i] - b[i];
        s[j] = s[j] + difference * difference;
    }
    return sum_of(s);
}

static float dot(const float *a, const float *b, size_t n) { return dot_row(a, b, n, NULL); }

static float squared_l2(const float *a, const float *b, size_t n) {
    return squared_l2_row(a, b, n, NULL);
}

MK_DEFINE_ROWS(dot_rows, dot_row, )
MK_DEFINE_ROWS(squared_l2_rows, squared_l2_row, )

const mk_kernels mk_scalar_kernels = {
    MK_SCALAR, "scalar", dot, squared_l2, dot_rows, squared_l2_rows,
};
