// CUDA's words in C++, for kernels that run on the CPU: each thread of a block is a fibre, and fibres take turns at
// barriers. A barrier that not all threads reach is an error, as is a launch or an argument that CUDA would refuse.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __restrict__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 { unsigned x = 1, y = 1, z = 1; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

// A tick for each look.
static long long clock64() {
    static long long ticks;
    return ++ticks;
}

namespace fibres {
enum State { READY, AT_BLOCK, AT_WARP, DONE };
static State states[1024];
static void (*function)(void*);
static void* given;
static char slots[1024][16];

static void wait(State at) {
    states[current] = at;
    wait();
}

static void run_thread() {
    function(given);
    wait(DONE);
}

static void run_block(unsigned threads, bool backwards) {
    at_least(threads);
    body = run_thread;
    for (unsigned n = 0; n < threads; n++) states[n] = READY;
    for (;;) {
        for (unsigned k = 0; k < threads; k++) {
            unsigned n = backwards ? threads - 1 - k : k;
            if (states[n] != READY) continue;
            threadIdx.x = n % blockDim.x; threadIdx.y = n / blockDim.x % blockDim.y; threadIdx.z = n / blockDim.x / blockDim.y;
            take_turn(n);
        }
        unsigned done = 0, at_block = 0, moved = 0;
        for (unsigned n = 0; n < threads; n++) { done += states[n] == DONE; at_block += states[n] == AT_BLOCK; }
        if (done == threads) return;
        if (at_block == threads) { for (unsigned n = 0; n < threads; n++) states[n] = READY; continue; }
        for (unsigned warp = 0; warp < threads; warp += 32) {
            unsigned end = warp + 32 < threads ? warp + 32 : threads, there = 0;
            for (unsigned n = warp; n < end; n++) there += states[n] == AT_WARP;
            if (there == end - warp) { for (unsigned n = warp; n < end; n++) states[n] = READY; moved++; }
        }
        if (!moved) {
            forget();
            throw std::runtime_error("a barrier that not all threads reach");
        }
    }
}

template <class F, class... A, size_t... I>
static void call(F f, void** args, std::index_sequence<I...>, void (*)(A...)) {
    f(*(std::remove_cv_t<std::remove_reference_t<A>>*)args[I]...);
}

template <class... A> static std::string launch(void (*f)(A...), unsigned* shape, void** args, size_t* sizes, size_t count) {
    size_t wanted[] = {sizeof(A)..., 0};
    if (count != sizeof...(A)) return "expected " + std::to_string(sizeof...(A)) + " arguments, got " + std::to_string(count);
    for (size_t n = 0; n < count; n++)
        if (sizes[n] != wanted[n])
            return "argument " + std::to_string(n) + " has " + std::to_string(sizes[n]) + " bytes, the kernel's has " + std::to_string(wanted[n]);
    unsigned threads = shape[3] * shape[4] * shape[5];
    if (!threads || threads > 1024 || !shape[0] || !shape[1] || !shape[2] || shape[0] > 0x7fffffffu || shape[1] > 65535 || shape[2] > 65535)
        return "CUDA_ERROR_INVALID_VALUE: a grid or block of no such size";
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    struct Call { void (*f)(A...); void** args; } one{f, args};
    given = &one;
    function = [](void* it) {
        auto* c = (Call*)it;
        call(c->f, c->args, std::index_sequence_for<A...>{}, c->f);
    };
    try {
        for (unsigned z = 0; z < shape[2]; z++) for (unsigned y = 0; y < shape[1]; y++) for (unsigned x = 0; x < shape[0]; x++) {
            blockIdx = {x, y, z};
            run_block(threads, x % 2);
        }
    } catch (std::exception& fault) { return fault.what(); }
    return "";
}
}  // namespace fibres

#define CUDA_ON_CPU_LAUNCH(name) \
    extern "C" const char* launch_##name(unsigned* shape, void** args, size_t* sizes, size_t count) { \
        static std::string said; said = fibres::launch(name, shape, args, sizes, count); \
        return said.empty() ? nullptr : said.c_str(); }

static inline void __syncthreads() { fibres::wait(fibres::AT_BLOCK); }
static inline void __threadfence_system() {}
static inline void __syncwarp(unsigned = ~0u) { fibres::wait(fibres::AT_WARP); }

template <class T> static inline T from_lane(T value, unsigned lane) {
    static_assert(sizeof(T) <= 16, "");
    unsigned self = fibres::current, source = self / 32 * 32 + lane % 32;
    memcpy(fibres::slots[self], &value, sizeof(T));
    __syncwarp();
    T found; memcpy(&found, fibres::slots[source], sizeof(T));
    __syncwarp();
    return found;
}
template <class T> static inline T __shfl_sync(unsigned, T value, int lane) { return from_lane(value, lane); }
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int far) { return from_lane(value, (fibres::current % 32) ^ far); }

template <class T> static inline unsigned __match_any_sync(unsigned, T value) {
    unsigned self = fibres::current, first = self / 32 * 32, found = 0;
    memcpy(fibres::slots[self], &value, sizeof(T));
    __syncwarp();
    for (unsigned lane = 0; lane < 32; lane++) found |= (unsigned)!memcmp(fibres::slots[first + lane], &value, sizeof(T)) << lane;
    __syncwarp();
    return found;
}
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

template <class T> static inline T atomicAdd(T* at, T more) { T old = *at; *at = old + more; return old; }
static inline unsigned atomicMin(unsigned* at, unsigned x) { unsigned old = *at; if (x < old) *at = x; return old; }
static inline unsigned atomicMax(unsigned* at, unsigned x) { unsigned old = *at; if (x > old) *at = x; return old; }
static inline int atomicCAS(int* at, int compare, int value) { int old = *at; if (old == compare) *at = value; return old; }
static inline unsigned atomicCAS(unsigned* at, unsigned compare, unsigned value) { unsigned old = *at; if (old == compare) *at = value; return old; }

static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
using std::isfinite;

static inline float float_of_half(unsigned short bits) { _Float16 x; memcpy(&x, &bits, 2); return x; }
static inline unsigned short half_of_float(float x) { _Float16 y = x; unsigned short bits; memcpy(&bits, &y, 2); return bits; }
template <class T> static inline T* at_address(unsigned long long address) { return (T*)(address - (1ull << 60)); }

// What device.cu has for shared memory and tensor cores. Copies are there at once: that a wait is missing does not show.
typedef char* Shared;
#define SHARED_ROOM static unsigned char room[100 << 10] __attribute__((aligned(16)))

static inline Shared shared_address(const void* place) { return (Shared)place; }
static inline void copy_bytes(Shared to, const void* from, bool is_there, size_t bytes) {
    if ((size_t)to % bytes || (size_t)from % bytes) throw std::runtime_error("a copy that is not aligned");
    if (is_there) memcpy(to, from, bytes); else memset(to, 0, bytes);
}
static inline void copy_16_bytes(Shared to, const void* from, bool is_there) { copy_bytes(to, from, is_there, 16); }
static inline void copy_4_bytes(Shared to, const void* from, bool is_there) { copy_bytes(to, from, is_there, 4); }
static inline void wait_for_copies() {}

static void load_any_fragments(unsigned* found, Shared row, bool turned) {
    memcpy(fibres::slots[fibres::current], &row, sizeof row);
    __syncwarp();
    const unsigned first = fibres::current / 32 * 32, lane = fibres::current % 32, high = lane / 4, low = lane % 4 * 2;
    for (int n = 0; n < 4; n++)
        for (int k = 0; k < 2; k++) {
            const unsigned short* there;
            memcpy(&there, fibres::slots[first + 8 * n + (turned ? low + k : high)], sizeof there);
            const unsigned bits = there[turned ? high : low + k];
            found[n] = k ? found[n] | bits << 16 : bits;
        }
    __syncwarp();
}
static void load_fragments(unsigned* found, Shared row) { load_any_fragments(found, row, false); }
static void load_turned_fragments(unsigned* found, Shared row) { load_any_fragments(found, row, true); }

static inline float of_f16(unsigned short bits) { return float_of_half(bits); }
static inline float of_bf16(unsigned short bits) { return __uint_as_float((unsigned)bits << 16); }
static inline unsigned short to_f16(float x) { return half_of_float(x); }
static inline unsigned short to_bf16(float x) {
    const unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
#define MULTIPLY_ADD(kind) \
    static void multiply_add_##kind(float* sums, const unsigned* a, const unsigned* b) { \
        struct { const unsigned *a, *b; } own = {a, b}, rows, columns; \
        char (*slots)[16] = fibres::slots + fibres::current / 32 * 32; \
        const unsigned lane = fibres::current % 32; \
        memcpy(slots[lane], &own, sizeof own); \
        __syncwarp(); \
        float found[4]; \
        for (int n = 0; n < 4; n++) { \
            double total = sums[n]; \
            for (int k = 0; k < 16; k++) { \
                memcpy(&rows, slots[lane / 4 * 4 + k % 8 / 2], sizeof rows); \
                memcpy(&columns, slots[(lane % 4 * 2 + n % 2) * 4 + k % 8 / 2], sizeof columns); \
                total += (double)of_##kind(rows.a[n / 2 + k / 8 * 2] >> k % 2 * 16) * of_##kind(columns.b[k / 8] >> k % 2 * 16); \
            } \
            found[n] = total; \
        } \
        __syncwarp(); \
        memcpy(sums, found, sizeof found); \
    } \
    static inline unsigned pair_##kind(float first, float second) { \
        return to_##kind(first) | (unsigned)to_##kind(second) << 16; \
    }
MULTIPLY_ADD(f16)
MULTIPLY_ADD(bf16)
#undef MULTIPLY_ADD
static inline float power_of_two(float x) { return exp2f(x); }
