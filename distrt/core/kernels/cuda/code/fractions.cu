// Numbers of distributions, from Philox's words (common.cu). T is float or double.

__device__ inline float turned(float x, int is_second) { return is_second ? sinf(x) : cosf(x); }
__device__ inline double turned(double x, int is_second) { return is_second ? sin(x) : cos(x); }

// Each thread draws four words for a pair: uniform in [0, 1), normal, or exponential.
// Source: Box and Muller 1958, "A note on the generation of random normal deviates".
extern "C" __global__ void fractions(T* out, i64 count, u64 key, const u64* more, int kind) {
    const u64 moved = key + (more ? *more : 0);
    for (i64 pair = (i64)blockIdx.x * blockDim.x + threadIdx.x; pair * 2 < count; pair += (i64)gridDim.x * blockDim.x) {
        u32 words[4];
        philox((u64)pair, moved, words);
        const T far = kind == 1 ? sqrt(-2 * logarithm(Fraction<T>::above(words[0], words[1]))) : 0;
        const T angle = kind == 1 ? (T)6.283185307179586 * Fraction<T>::from(words[2], words[3]) : 0;
        for (int k = 0; k < 2 && pair * 2 + k < count; k++) {
            const u32 a = words[2 * k], b = words[2 * k + 1];
            out[pair * 2 + k] = kind == 1 ? far * turned(angle, k)
                              : kind == 2 ? -logarithm(Fraction<T>::above(a, b)) : Fraction<T>::from(a, b);
        }
    }
}

// Whole numbers from low on, of so many; of all that there are where that is 0.
extern "C" __global__ void whole_numbers(i64* out, i64 count, u64 key, const u64* more, i64 low, u64 many) {
    const u64 moved = key + (more ? *more : 0);
    for (i64 pair = (i64)blockIdx.x * blockDim.x + threadIdx.x; pair * 2 < count; pair += (i64)gridDim.x * blockDim.x) {
        u32 words[4];
        philox((u64)pair, moved, words);
        for (int k = 0; k < 2 && pair * 2 + k < count; k++) {
            const u64 drawn = joined(words[2 * k], words[2 * k + 1]);
            out[pair * 2 + k] = (i64)((u64)low + (many ? __umul64hi(drawn, many) : drawn));
        }
    }
}
