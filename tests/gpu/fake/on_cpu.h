// What the libraries on the CPU have in common: numbers of every dtype at an address, and when work is done.
//
// For the fake of CuPy, whose addresses are shifted so that nobody takes them for the host's, it is done at once. With
// -DEMULATED_GPU, for the emulated GPU, addresses are as they are, and work is its stream's: a graph may record it.

#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

typedef std::function<void()> Work;

#ifdef EMULATED_GPU
static const uint64_t SHIFT = 0;
extern "C" int emulated_queue(void* stream, const Work* work);
static bool queued(void* stream, const Work& work) { return !emulated_queue(stream, &work); }
#else
static const uint64_t SHIFT = 1ull << 60;
static bool queued(void*, const Work& work) {
    work();
    return true;
}
#endif

// NVIDIA's numbers of dtypes (cudaDataType). cuDNN's of floats are the same, but for bfloat16: whatever is
// none of the others is that.
enum Kind { F32 = 0, F64 = 1, F16 = 2, C64 = 4, C128 = 5, BF16 = 14 };

// A library's handle.
struct Handle {
    void* stream;
    int math, pointers;
};

static inline double get(int kind, const void* there, ptrdiff_t at) {
    const char* p = (const char*)there - SHIFT;
    switch (kind) {
        case F32: return ((const float*)p)[at];
        case F64: return ((const double*)p)[at];
        case F16: {
            _Float16 half;
            memcpy(&half, (const uint16_t*)p + at, 2);
            return half;
        }
        default: {
            const uint32_t wide = (uint32_t)((const uint16_t*)p)[at] << 16;
            float x;
            memcpy(&x, &wide, 4);
            return x;
        }
    }
}

static inline void set(int kind, void* there, ptrdiff_t at, double value) {
    char* p = (char*)there - SHIFT;
    const float x = value;
    switch (kind) {
        case F32: ((float*)p)[at] = x; break;
        case F64: ((double*)p)[at] = value; break;
        case F16: {
            const _Float16 half = x;
            memcpy((uint16_t*)p + at, &half, 2);
            break;
        }
        default: {
            uint32_t wide;
            memcpy(&wide, &x, 4);
            wide += 0x7fff + ((wide >> 16) & 1);
            ((uint16_t*)p)[at] = x != x ? 0x7fff : wide >> 16;
        }
    }
}
