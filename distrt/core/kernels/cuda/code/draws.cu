// Random numbers of Philox (common.cu).

// 0 with probability p, else scale; the first four numbers are those of the four `first` of a larger array. The key is moved
// by what is in more, where that is given: a captured graph draws other numbers whenever that has changed.
extern "C" __global__ void kept(T* out, i64 count, double p, double scale, u64 key, u64 first, const u64* more) {
    const u64 moved = key + (more ? *more : 0);
    for (i64 four = (i64)blockIdx.x * blockDim.x + threadIdx.x; four * 4 < count; four += (i64)gridDim.x * blockDim.x) {
        u32 words[4];
        philox(first + (u64)four, moved, words);
        for (int k = 0; k < 4 && four * 4 + k < count; k++)
            put(out + four * 4 + k, share(words[k]) >= p ? (Computed<T>::type)scale : 0);
    }
}
