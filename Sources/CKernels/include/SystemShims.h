// System calls and macros that Swift's C library modules lack, as static inline functions.
#ifndef MORAINE_SYSTEM_SHIMS_H
#define MORAINE_SYSTEM_SHIMS_H

#endif
