// CRC-32C by the CPU's instruction (three streams at once, since the instruction takes three
// cycles but can start every cycle) or by eight tables.
#include "include/CKernels.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The checksum loads little-endian words."
#endif

#define POLYNOMIAL 0x82F63B78u  // 0x1EDC6F41, bits reversed

// Stream lengths in bytes. Long for large inputs, short so that a 4 KiB block gains too.
#define LONG_STREAM 2048
#define SHORT_STREAM 256

// slices[k][b]: the register after byte b and k zero bytes.
static uint32_t slices[8][256];
// skip_*[k][b]: what byte k of the register, being b, becomes after a stream of zeros.
static uint32_t skip_long[4][256];
static uint32_t skip_short[4][256];

typedef uint32_t (*crc_function)(uint32_t crc, const void *data, size_t n);
static crc_function chosen = mk_crc32c_software;

static inline uint64_t load64(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

uint32_t mk_crc32c_software(uint32_t crc, const void *data, size_t n) {
    const unsigned char *p = data;
    uint32_t r = ~crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w = load64(p) ^ r;
        r = slices[7][w & 0xFF] ^ slices[6][(w >> 8) & 0xFF] ^ slices[5][(w >> 16) & 0xFF] ^
            slices[4][(w >> 24) & 0xFF] ^ slices[3][(w >> 32) & 0xFF] ^
            slices[2][(w >> 40) & 0xFF] ^ slices[1][(w >> 48) & 0xFF] ^ slices[0][w >> 56];
    }
    for (; n > 0; p++, n--) r = slices[0][(r ^ *p) & 0xFF] ^ (r >> 8);
    return ~r;
}

#if defined(__x86_64__) || defined(__aarch64__)

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2")))
#define STEP64(r, word) _mm_crc32_u64((r), (word))
#define STEP8(r, byte) _mm_crc32_u8((uint32_t)(r), (byte))
typedef uint64_t reg;  // as wide as the instruction's result: no conversions in the loop
#else
#define HARDWARE __attribute__((target("crc")))
#define STEP64(r, word) __builtin_arm_crc32cd((r), (word))
#define STEP8(r, byte) __builtin_arm_crc32cb((r), (byte))
typedef uint32_t reg;
#endif

// The register r after the zeros that a skip table stands for.
static inline reg skip(uint32_t table[4][256], reg r) {
    return table[0][r & 0xFF] ^ table[1][(r >> 8) & 0xFF] ^ table[2][(r >> 16) & 0xFF] ^
           table[3][(r >> 24) & 0xFF];
}

// Takes as many groups of three streams as fit; returns the register, moves *p and *n.
HARDWARE static inline __attribute__((always_inline)) reg three_streams(
    reg r, const unsigned char **p, size_t *n, const size_t length, uint32_t table[4][256]) {
    const unsigned char *at = *p;
    size_t left = *n;
    while (left >= 3 * length) {
        reg second = 0, third = 0;
        for (size_t i = 0; i < length; i += 8) {
            r = STEP64(r, load64(at + i));
            second = STEP64(second, load64(at + length + i));
            third = STEP64(third, load64(at + 2 * length + i));
        }
        r = skip(table, r) ^ second;
        r = skip(table, r) ^ third;
        at += 3 * length;
        left -= 3 * length;
    }
    *p = at;
    *n = left;
    return r;
}

HARDWARE static uint32_t crc32c_hardware(uint32_t crc, const void *data, size_t n) {
    const unsigned char *p = data;
    reg r = (uint32_t)~crc;
    r = three_streams(r, &p, &n, LONG_STREAM, skip_long);
    r = three_streams(r, &p, &n, SHORT_STREAM, skip_short);
    for (; n >= 8; p += 8, n -= 8) r = STEP64(r, load64(p));
    for (; n > 0; p++, n--) r = STEP8(r, *p);
    return ~(uint32_t)r;
}

static int has_hardware(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__APPLE__)
    return 1;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 7)) != 0;  // HWCAP_CRC32
#else
    return 0;
#endif
}

#endif

// The register r after `count` zero bytes.
static uint32_t after_zeros(uint32_t r, size_t count) {
    for (; count > 0; count--) r = slices[0][r & 0xFF] ^ (r >> 8);
    return r;
}

static void build_skip(uint32_t table[4][256], size_t length) {
    for (int k = 0; k < 4; k++) {
        // The register is linear over xor: eight single bits give all 256 values.
        table[k][0] = 0;
        for (uint32_t bit = 1; bit < 256; bit <<= 1) {
            uint32_t value = after_zeros(bit << (8 * k), length);
            for (uint32_t low = 0; low < bit; low++) table[k][bit | low] = value ^ table[k][low];
        }
    }
}

// A constructor, so that callers need neither a lock nor a check: nothing writes after it.
__attribute__((constructor)) static void build_tables(void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b;
        for (int bit = 0; bit < 8; bit++) r = (r >> 1) ^ ((r & 1) ? POLYNOMIAL : 0);
        slices[0][b] = r;
    }
    for (int k = 1; k < 8; k++) {
        for (int b = 0; b < 256; b++) slices[k][b] = after_zeros(slices[k - 1][b], 1);
    }
#if defined(__x86_64__) || defined(__aarch64__)
    if (has_hardware()) {
        build_skip(skip_long, LONG_STREAM);
        build_skip(skip_short, SHORT_STREAM);
        chosen = crc32c_hardware;
    }
#endif
}

uint32_t mk_crc32c(uint32_t crc, const void *data, size_t n) { return chosen(crc, data, n); }
