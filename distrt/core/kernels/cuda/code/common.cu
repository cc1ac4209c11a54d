// What all kernels begin with: numbers as they are stored, sums over the threads of a block, and random numbers.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct float16 { unsigned short bits; };
struct bfloat16 { unsigned short bits; };

// The dtype that a stored one is computed in.
template <class T> struct Computed { typedef float type; };
template <> struct Computed<double> { typedef double type; };

__device__ inline float widened(float x) { return x; }
__device__ inline double widened(double x) { return x; }
__device__ inline float widened(float16 x) { return float_of_half(x.bits); }
__device__ inline float widened(bfloat16 x) { return __uint_as_float((u32)x.bits << 16); }

__device__ inline void put(float* to, float x) { *to = x; }
__device__ inline void put(double* to, double x) { *to = x; }
__device__ inline void put(float16* to, float x) { to->bits = half_of_float(x); }
__device__ inline void put(bfloat16* to, float x) {  // to the nearest, to even where two are
    u32 bits = __float_as_uint(x);
    if (x != x) bits = (bits & 0x80000000u) | 0x7fc00000u;
    else bits += 0x7fffu + ((bits >> 16) & 1u);
    to->bits = (unsigned short)(bits >> 16);
}

__device__ inline float as_float16(float x) { float16 y; put(&y, x); return widened(y); }
__device__ inline float as_bfloat16(float x) { bfloat16 y; put(&y, x); return widened(y); }

template <class T> __device__ inline T larger(T a, T b) { return a >= b || a != a ? a : b; }   // NaN where one is
template <class T> __device__ inline T smaller(T a, T b) { return a <= b || a != a ? a : b; }

__device__ inline float minus_infinity() { return __uint_as_float(0xff800000u); }
__device__ inline float power(float x) { return expf(x); }
__device__ inline double power(double x) { return exp(x); }
__device__ inline float logarithm(float x) { return logf(x); }
__device__ inline double logarithm(double x) { return log(x); }

// Block-wide reductions: every thread gets the result. THREADS is a multiple of 32; all threads must call.

struct Sum { template <class T> __device__ static T of(T a, T b) { return a + b; } };
struct Max { template <class T> __device__ static T of(T a, T b) { return larger(a, b); } };

template <class How, class T> __device__ inline T over_warp(T x) {
    for (int far = 16; far; far >>= 1) x = How::of(x, __shfl_xor_sync(0xffffffffu, x, far));
    return x;
}

template <class How, int THREADS, class T> __device__ inline T over_block(T x) {
    __shared__ T of_warps[THREADS / 32];
    x = over_warp<How>(x);
    __syncthreads();  // the last reduction's results have been read
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
    __syncthreads();
    T total = of_warps[0];
    for (int warp = 1; warp < THREADS / 32; warp++) total = How::of(total, of_warps[warp]);
    return total;
}

// Tells the host what is wrong (core/gpu/faults.py): the kind, the number found, the bound. What is there stays: it is
// what others may come from.
__device__ inline void note(i64* fault, i64 kind, i64 number, i64 bound) {
    if (*(volatile i64*)fault) return;
    fault[1] = number;
    fault[2] = bound;
    __threadfence_system();
    fault[0] = kind;
}

// Random numbers of Philox 4x32-10: a counter and a key give four words, whoever asks, in whatever order.
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
__device__ inline void philox(u64 counter, u64 key, u32 words[4], u64 block = 0) {
    u32 a = (u32)counter, b = (u32)(counter >> 32), c = (u32)block, d = (u32)(block >> 32);
    u32 k0 = (u32)key, k1 = (u32)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const u32 high0 = __umulhi(0xD2511F53u, a), low0 = 0xD2511F53u * a;
        const u32 high1 = __umulhi(0xCD9E8D57u, c), low1 = 0xCD9E8D57u * c;
        a = high1 ^ b ^ k0;
        b = low1;
        c = high0 ^ d ^ k1;
        d = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

// One of Philox's words as a number in [0, 1).
__device__ inline double share(u32 word) { return (word >> 8) * (1.0 / 16777216); }

// Sixty-four bits of two words; how many fractions of one they count, half a step above zero where none may be zero.
__device__ inline u64 joined(u32 a, u32 b) { return (u64)a << 32 | b; }

template <class C> struct Fraction {
    __device__ static C from(u32 a, u32 b) { return (C)((joined(a, b) >> 11) * (1.0 / 9007199254740992.0)); }
    __device__ static C above(u32 a, u32 b) { return (C)(((joined(a, b) >> 11) + 0.5) * (1.0 / 9007199254740992.0)); }
};
template <> struct Fraction<float> {
    __device__ static float from(u32 a, u32) { return (a >> 8) * (1.0f / 16777216); }
    __device__ static float above(u32 a, u32) { return ((a >> 9) + 0.5f) * (1.0f / 8388608); }
};
