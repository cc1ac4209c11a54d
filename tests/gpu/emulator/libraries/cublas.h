// What the files of cuBLAS share. Handles and products of arrays of any dtype are in tests/gpu/fake/cublas_on_cpu.cpp,
// which is a part of the library, too.

#pragma once

#include "lapack.h"

static inline int later(void* handle, const Work& work) { return queued(((Handle*)handle)->stream, work) ? 0 : 14; }

static inline int invalid(const char* function) {
    complain("bad arguments to cuBLAS's %s", function);
    return 7;
}
#define EXPECT(condition) \
    if (!(condition)) return invalid(__func__)
