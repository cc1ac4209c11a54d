// What the files of cuSOLVER share.

#pragma once

#include "lapack.h"

extern "C" int cudaStreamSynchronize(void*);

static inline int later(void* handle, const Work& work) { return queued(((Handle*)handle)->stream, work) ? 0 : 7; }

// What waits for its stream between its steps is refused in a capture.
static inline int waits(void* handle) { return cudaStreamSynchronize(((Handle*)handle)->stream) ? 7 : 0; }

static inline int invalid(const char* function) {
    complain("bad arguments to cuSOLVER's %s", function);
    return 3;
}
#define EXPECT(condition) \
    if (!(condition)) return invalid(__func__)
