// The stable order of numbers below 256 to the power of `passes`: least significant digit first, three launches a pass.
// I: the dtype of the numbers, or of values' bits; K: that of keys, which are unsigned. A block has 256 threads, and 2048
// numbers.

#define TILE 2048

// A number as a key: counted from the back where it is negative and `wraps`; all that are out of range are `size`.
extern "C" __global__ void keys_of(const I* numbers, K* keys, i64 count, i64 size, int wraps) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        i64 number = (i64)numbers[at];
        if (wraps && number < 0) number += size;
        keys[at] = number < 0 || number >= size ? (K)size : (K)number;
    }
}

// Values, by their bits, as keys of the same order, those of a row behind those of the rows before where `rows_count`.
// nan is the largest. `kind`: 0 for unsigned numbers, 1 for signed ones, 2 for floats, whose infinity has the bits given.
extern "C" __global__ void keys_of_values(
    const I* values, K* keys, i64 count, i64 length, int kind, u64 infinity, int descends, int rows_count
) {
    const int bits = 8 * sizeof(I);
    const u64 top = 1ull << (bits - 1), all = top | (top - 1);
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        u64 key = values[at];
        if (kind == 1) key ^= top;
        if (kind == 2) {
            const u64 size = key & (top - 1);
            if (size > infinity) key = all;
            else if (!size) key = top;  // 0 and -0 are equal
            else key = key & top ? ~key & all : key | top;
        }
        if (descends) key = ~key & all;
        keys[at] = (K)(rows_count ? (u64)(at / length) << bits | key : key);
    }
}

// The rows of what stands at the positions.
extern "C" __global__ void keys_of_rows(const u32* positions, K* keys, i64 count, i64 length) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x)
        keys[at] = (K)(positions[at] / length);
}

// Positions as places in their rows.
extern "C" __global__ void places_in_rows(const u32* positions, i64* places, i64 count, i64 length) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x)
        places[at] = positions[at] % length;
}

// How often each block has each digit: (256, blocks).
extern "C" __global__ void count_digits(const K* keys, u32* counts, i64 count, int shift) {
    __shared__ u32 own[256];
    own[threadIdx.x] = 0;
    __syncthreads();
    const i64 first = (i64)blockIdx.x * TILE;
    for (i64 at = first + threadIdx.x; at < first + TILE && at < count; at += 256) atomicAdd(own + (keys[at] >> shift & 255), 1u);
    __syncthreads();
    counts[(i64)threadIdx.x * gridDim.x + blockIdx.x] = own[threadIdx.x];
}

// Every number becomes the sum of those before it; one block of 1024 threads.
extern "C" __global__ void __launch_bounds__(1024) sum_before(u32* counts, i64 count) {
    __shared__ u32 of_threads[1024];
    const i64 share = (count + 1023) / 1024, first = threadIdx.x * share, last = first + share < count ? first + share : count;
    u32 sum = 0;
    for (i64 at = first; at < last; at++) sum += counts[at];
    of_threads[threadIdx.x] = sum;
    for (int far = 1; far < 1024; far *= 2) {
        __syncthreads();
        const u32 before = (int)threadIdx.x >= far ? of_threads[threadIdx.x - far] : 0;
        __syncthreads();
        of_threads[threadIdx.x] += before;
    }
    u32 running = of_threads[threadIdx.x] - sum;
    for (i64 at = first; at < last; at++) {
        const u32 own = counts[at];
        counts[at] = running;
        running += own;
    }
}

// Puts each key where its digit belongs, behind those of the same digit that stood before it, and its position beside it.
extern "C" __global__ void place_digits(
    const K* keys, const u32* positions, const u32* starts, K* placed, u32* order, i64 count, int shift
) {
    __shared__ u32 next[8][256];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int other = 0; other < 8; other++) next[other][threadIdx.x] = 0;
    __syncthreads();
    const i64 first = (i64)blockIdx.x * TILE + warp * (TILE / 8) + lane;
    u32 rank[TILE / 256], digit[TILE / 256];
    for (int turn = 0; turn < TILE / 256; turn++) {
        const i64 at = first + turn * 32;
        digit[turn] = at < count ? (u32)(keys[at] >> shift & 255) : 256;
        const u32 alike = __match_any_sync(0xffffffffu, digit[turn]);
        if (digit[turn] < 256) rank[turn] = next[warp][digit[turn]] + __popc(alike & ((1u << lane) - 1));
        __syncwarp();
        if (digit[turn] < 256 && alike >> lane == 1) next[warp][digit[turn]] += __popc(alike);  // the last of them
        __syncwarp();
    }
    __syncthreads();
    u32 start = starts[(i64)threadIdx.x * gridDim.x + blockIdx.x];
    for (int other = 0; other < 8; other++) {
        const u32 own = next[other][threadIdx.x];
        next[other][threadIdx.x] = start;
        start += own;
    }
    __syncthreads();
    for (int turn = 0; turn < TILE / 256; turn++) {
        if (digit[turn] == 256) continue;
        const i64 at = first + turn * 32;
        const u32 to = next[warp][digit[turn]] + rank[turn];
        placed[to] = keys[at];
        order[to] = positions ? positions[at] : (u32)at;
    }
}
