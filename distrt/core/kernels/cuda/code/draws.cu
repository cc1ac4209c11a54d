// Random numbers of Philox 4x32-10: a counter and a key give four words, whoever asks, in whatever order.
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

__device__ inline void philox(u64 counter, u64 key, u32 words[4]) {
    u32 a = (u32)counter, b = (u32)(counter >> 32), c = 0, d = 0, k0 = (u32)key, k1 = (u32)(key >> 32);
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

// 0 with probability p, else scale. The key is moved by what is in more, where that is given: a captured graph draws
// other numbers whenever that has changed.
extern "C" __global__ void kept(T* out, i64 count, double p, double scale, u64 key, const u64* more) {
    const u64 moved = key + (more ? *more : 0);
    for (i64 four = (i64)blockIdx.x * blockDim.x + threadIdx.x; four * 4 < count; four += (i64)gridDim.x * blockDim.x) {
        u32 words[4];
        philox((u64)four, moved, words);
        for (int k = 0; k < 4 && four * 4 + k < count; k++)
            put(out + four * 4 + k, (words[k] >> 8) * (1.0 / 16777216) >= p ? (Computed<T>::type)scale : 0);
    }
}
