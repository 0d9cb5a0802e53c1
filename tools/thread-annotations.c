// Tells ThreadSanitizer of what the toolchain's own libraries do, which are not built for it:
// `tools/test --sanitize thread` builds this and loads it before the tests (Linux only).
//
// Mutex: without this every pair of accesses that only a contended Mutex orders is called a race.
// The two functions are the slow ways of locking and unlocking; the quick ones are inlined into our
// code as atomic operations, which the sanitizer sees.
//
// Continuations: the library says what a resumed task was told, but not when it had been resumed
// before it began to wait, so that memory of its frames that is used again is called a race.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SWIFT_ASYNC __attribute__((swiftasynccall))
#define SELF __attribute__((swift_context)) void *self
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define AWAIT "swift_continuation_await"
#define CURRENT_TASK "swift_task_getCurrent"

// There in programs that were built with the sanitizer.
extern void __tsan_acquire(void *) __attribute__((weak));
extern void __tsan_release(void *) __attribute__((weak));

typedef SWIFT void (*lock_function)(uint32_t thread, SELF);
typedef SWIFT void (*unlock_function)(SELF);
typedef SWIFT_ASYNC void (*await_function)(void *continuation);
typedef SWIFT void *(*task_function)(void);
static lock_function next_lock;
static unlock_function next_unlock;
static await_function next_await;
static task_function current_task;

__attribute__((constructor)) static void find_next(void) {
    next_lock = (lock_function)dlsym(RTLD_NEXT, LOCK);
    next_unlock = (unlock_function)dlsym(RTLD_NEXT, UNLOCK);
    next_await = (await_function)dlsym(RTLD_NEXT, AWAIT);
    current_task = (task_function)dlsym(RTLD_NEXT, CURRENT_TASK);
}

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void lock_slow(uint32_t thread, SELF) {
    next_lock(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT void unlock_slow(SELF) __asm__(UNLOCK);
SWIFT void unlock_slow(SELF) {
    if (__tsan_release) __tsan_release(self);
    next_unlock(self);
}

SWIFT_ASYNC void await_continuation(void *continuation) __asm__(AWAIT);
SWIFT_ASYNC void await_continuation(void *continuation) {
    // Who resumes a task releases the task.
    if (__tsan_acquire) __tsan_acquire(current_task());
    return next_await(continuation);
}
