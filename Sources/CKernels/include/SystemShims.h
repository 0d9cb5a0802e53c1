// System calls and instructions that Swift cannot name, as inline functions.
// Nothing here depends on _GNU_SOURCE: by the time this header is read inside a Swift build, the C
// library's headers were compiled without it, so what they hide is spelled out from the kernel's ABI.
#ifndef MORAINE_SYSTEM_SHIMS_H
#define MORAINE_SYSTEM_SHIMS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <pthread.h>
#include <sys/file.h>
#endif
#if defined(__linux__)
#include <sys/statfs.h>
#endif

#if defined(__linux__)
#define MK_OFD_GETLK 36  // F_OFD_GETLK
#define MK_OFD_SETLK 37  // F_OFD_SETLK
#endif

/// Takes the exclusive lock of a whole file for this open file description, without waiting.
/// Returns 0, or the errno: EWOULDBLOCK when another description holds it.
static inline int mk_ofd_lock(int descriptor) {
#if defined(__linux__)
    struct flock whole = {0};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (fcntl(descriptor, MK_OFD_SETLK, &whole) == 0) return 0;
    return errno == EACCES ? EWOULDBLOCK : errno;
#else
    // flock belongs to the open file description too.
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
#endif
}

/// Asks whether another open file description holds a lock on the file; takes nothing.
/// Returns 0 when nobody does, 1 when somebody does, or minus the errno. `process` receives the
/// holder where the system knows it, else 0.
static inline int mk_ofd_query(int descriptor, int32_t *process) {
    struct flock whole = {0};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    *process = 0;
#if defined(__linux__)
    if (fcntl(descriptor, MK_OFD_GETLK, &whole) != 0) return -errno;
#else
    // Reports flock locks as well; its own process's are another owner's to it.
    if (fcntl(descriptor, F_GETLK, &whole) != 0) return -errno;
#endif
    if (whole.l_type == F_UNLCK) return 0;
    if (whole.l_pid > 0) *process = (int32_t)whole.l_pid;
    return 1;
}

#if defined(__linux__)
int sync_file_range(int descriptor, int64_t offset, int64_t count, unsigned int flags);
#endif

/// Begins to write a range of a file to the disk without waiting. A hint: it promises nothing.
static inline void mk_start_writeback(int descriptor, int64_t offset, int64_t count) {
#if defined(__linux__)
    const unsigned int write = 2;  // SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(descriptor, offset, count, write);
#else
    (void)descriptor;
    (void)offset;
    (void)count;
#endif
}

#if defined(__linux__)
/// The kind number of the file system that holds `path`, how many bytes it has, and how many of
/// them are free for ordinary users. Returns 0, or -1 with errno set.
static inline int mk_volume(
    const char *path, uint32_t *magic, uint64_t *byte_count, uint64_t *free_byte_count) {
    struct statfs status;
    if (statfs(path, &status) != 0) return -1;
    *magic = (uint32_t)status.f_type;
    // Blocks are counted in fragments where the file system has such.
    uint64_t unit = (uint64_t)(status.f_frsize > 0 ? status.f_frsize : status.f_bsize);
    if (__builtin_mul_overflow((uint64_t)status.f_blocks, unit, byte_count))
        *byte_count = UINT64_MAX;
    if (__builtin_mul_overflow((uint64_t)status.f_bavail, unit, free_byte_count))
        *free_byte_count = UINT64_MAX;
    return 0;
}
#endif

/// Lets other threads go before the calling one. On Linux a thread has a priority of its own.
static inline void mk_lower_priority(void) {
#if defined(__linux__)
    (void)setpriority(PRIO_PROCESS, 0, 10);
#elif defined(__APPLE__)
    (void)pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#endif
}

/// The name in a `struct dirent`; Swift's tuple of 256 would read past a short record.
static inline const char *mk_entry_name(const void *entry) {
    return ((const struct dirent *)entry)->d_name;
}

/// 1 when a `struct dirent` says it is a folder, 0 when it says it is not, -1 when it does not say.
static inline int mk_entry_is_directory(const void *entry) {
    unsigned char type = ((const struct dirent *)entry)->d_type;
    return type == 0 ? -1 : type == 4;  // DT_UNKNOWN, DT_DIR
}

/// Asks the processor to bring the cache line at `address` near.
static inline void mk_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

#endif
