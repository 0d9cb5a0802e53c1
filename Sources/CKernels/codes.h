// What the kernel files for codes share.
#ifndef MORAINE_CODES_PRIVATE_H
#define MORAINE_CODES_PRIVATE_H

#include "include/CodeKernels.h"

#include <stdint.h>

extern const mk_code_kernels mk_scalar_code_kernels;
#if defined(__x86_64__)
extern const mk_code_kernels mk_avx2_code_kernels;
extern const mk_code_kernels mk_vnni_code_kernels;
#elif defined(__aarch64__)
extern const mk_code_kernels mk_neon_code_kernels;
#endif

// What pools are kept by without special instructions, and wide ones everywhere.

// How many of the first n keys, which descend, are not below a key.
//
// Halves down to 64, then counts: where a key belongs cannot be foretold, and a count without a
// branch for each key takes several at a time.
static inline size_t rank_of(const int32_t *keys, size_t n, int32_t key) {
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

// Moves n words up by one place. What stands in the 17 words behind them is lost.
//
// A few words are moved for each node that a search keeps; a call of memmove takes as long as that.
static inline void shift_up(uint32_t *words, size_t n) {
    typedef struct {
        uint32_t words[16];
    } line;
    line now;
    __builtin_memcpy(&now, words, sizeof now);
    for (size_t i = 0;; i += 16) {
        line next;
        if (i + 16 < n) __builtin_memcpy(&next, words + i + 16, sizeof next);
        __builtin_memcpy(words + i + 1, &now, sizeof now);
        if (i + 16 >= n) return;
        now = next;
    }
}

static inline size_t plain_keep(const mk_pool *pool, const int32_t *keys, const uint32_t *nodes,
                                size_t count, const uint32_t *links, size_t stride) {
    size_t first = pool->width, last = pool->width - 1;
    for (size_t i = 0; i < count; i++) {
        if (keys[i] <= pool->keys[last]) continue;
        size_t place = rank_of(pool->keys, last, keys[i]);
        shift_up((uint32_t *)pool->keys + place, last - place);
        shift_up(pool->nodes + place, last - place);
        pool->keys[place] = keys[i];
        pool->nodes[place] = nodes[i];
        __builtin_prefetch(links + nodes[i] * stride);
        __builtin_prefetch(links + nodes[i] * stride + 16);
        first = place < first ? place : first;
    }
    return first;
}

static inline size_t plain_unmarked(const uint32_t *words, size_t n, uint32_t *marks,
                                    uint32_t *out) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t word = mk_load_shared(words + i);
        if (word == UINT32_MAX) break;
        // Without a branch: whether a node is marked cannot be foretold.
        uint32_t set = marks[word / 32], bit = (uint32_t)1 << word % 32;
        out[count] = word;
        count += (set & bit) == 0;
        marks[word / 32] = set | bit;
    }
    return count;
}

#endif
