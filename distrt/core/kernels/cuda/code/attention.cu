// Attention between its products: from scores to weights, and from their gradients to the scores'. LANES threads share
// a query's row of scores and take four of them at a time; a row is read once where each thread can keep its HELD fours,
// where HELD is 0 it is read again, from the cache.
//
// T: the dtype of queries, keys, values and weights; M: the mask's, u8 for bools. Scores are float, or double beside it.

typedef Computed<T>::type C;
typedef unsigned char u8;

// A block may be larger than 256 threads only where the compiler knows: it takes fewer registers then, of which there
// are 65,536 for a block.
#define THREADS (LANES == 32 ? 256 : LANES)

// How the matrices of an array lie, in elements: by numbers of the batch's dims, the outermost first.
struct Layout {
    i64 sizes[DIMS], steps[DIMS], row, column;
};

// Some rows of some matrices' scores, and how many keys they see.
struct Tile {
    i64 matrices, first_matrix, rows, first_row, columns, length;
    i64 width, fours;  // width: of the rows in memory, whole fours; fours: of a row with all keys
    int is_causal;
};

// What dropout does: 0 with probability p, else factor. Philox gives four keys of a query their words, `fours` times for each
// query of the batch, so that a weight's does not depend on the blocks.
struct Dropout {
    double p, factor;
    u64 key, more;  // more: the address of what moves the key, or 0
};

template <class X> struct alignas(4 * sizeof(X) < 16 ? 4 * sizeof(X) : 16) Four { X of[4]; };

__device__ inline C lowest() { return (C)minus_infinity(); }

__device__ inline i64 place(const Layout& lay, i64 matrix) {
    i64 at = 0;
    for (int dim = DIMS - 1; dim >= 0; dim--) {
        at += matrix % lay.sizes[dim] * lay.steps[dim];
        matrix /= lay.sizes[dim];
    }
    return at;
}

template <class How> __device__ inline C over_row(C x) {
#if LANES == 32
    return over_warp<How>(x);
#else
    return over_block<How, LANES>(x);
#endif
}

__device__ inline C masked(C score, u8 sees) { return sees ? score : lowest(); }
__device__ inline C masked(C score, float more) { return score + (C)more; }
__device__ inline C masked(C score, double more) { return score + (C)more; }
__device__ inline C masked(C score, float16 more) { return score + widened(more); }
__device__ inline C masked(C score, bfloat16 more) { return score + widened(more); }

// Four scores of a row as they go into the softmax; those of keys that are not seen are minus infinity.
__device__ inline Four<C> four_of(const C* row, const M* mask, i64 step, i64 at, i64 seen, C scale) {
    Four<C> found = *(const Four<C>*)(row + at);
    for (int n = 0; n < 4; n++) {
        const i64 key = at + n;
        found.of[n] = key >= seen ? lowest() : mask ? masked(found.of[n] * scale, mask[key * step]) : found.of[n] * scale;
    }
    return found;
}

// What four weights are multiplied with: the numbers that `kept` (draws.cu) gives an array of all rows. Without dropout 1.
__device__ inline Four<C> kept_of(const Dropout& drop, i64 four) {
    Four<C> found = {1, 1, 1, 1};
    if (drop.p > 0) {
        u32 words[4];
        philox((u64)four, drop.key + (drop.more ? *at_address<const u64>(drop.more) : 0), words);
        for (int n = 0; n < 4; n++) found.of[n] = share(words[n]) >= drop.p ? (C)drop.factor : 0;
    }
    return found;
}

// All threads of a warp or a block leave or stay together. A query sees the keys before `seen`.
#define ROWS \
    const int lane = threadIdx.x % LANES; \
    const i64 stride = (i64)gridDim.x * (blockDim.x / LANES), fours = tile.width / 4; \
    for (i64 number = (i64)blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES; \
         number < tile.matrices * tile.rows; number += stride)

#define ROW \
    const i64 matrix = tile.first_matrix + number / tile.rows, query = tile.first_row + number % tile.rows; \
    const i64 whole = matrix * tile.length + query; \
    const i64 seen = tile.is_causal && query + 1 < tile.columns ? query + 1 : tile.columns; \
    const C* row = scores + number * tile.width; \
    const M* own = mask ? mask + place(lay, matrix) + query * lay.row : mask;

#if HELD
#define EACH(k, four) _Pragma("unroll") for (int k = 0; k < HELD; k++) if (const i64 four = lane + (i64)k * LANES; four < fours)
#define HOLD(name) Four<C> name[HELD]
#define READ(name, k, four) (name[k] = four_of(row, own, lay.column, four * 4, seen, scale))
#define HELD_OR_READ(name, k, four) name[k]
#else
#define EACH(k, four) for (i64 k = 0, four = lane; four < fours; four += LANES)
#define HOLD(name)
#define READ(name, k, four) four_of(row, own, lay.column, four * 4, seen, scale)
#define HELD_OR_READ(name, k, four) READ(name, k, four)
#endif

// exp(score - the row's largest), after dropout; the sum before it, and the logarithm of the softmax's denominator, which
// is +inf for a query that sees no key. The weights may be where the scores are.
extern "C" __global__ void __launch_bounds__(THREADS) weigh(
    const C* scores, T* weights, C* totals, C* log_totals, const M* mask, const Layout lay, const Tile tile, C scale,
    const Dropout drop
) {
    ROWS {
        ROW
        HOLD(x);
        C peak = lowest(), total = 0;
        EACH(k, four) {
            const Four<C> some = READ(x, k, four);
            for (int n = 0; n < 4; n++) peak = larger(peak, some.of[n]);
        }
        peak = over_row<Max>(peak);
        if (peak == lowest()) peak = 0;
        EACH(k, four) {
            const Four<C> some = HELD_OR_READ(x, k, four), kept = kept_of(drop, whole * tile.fours + four);
            Four<T> made;
            for (int n = 0; n < 4; n++) {
                const C weight = power(some.of[n] - peak);
                total += weight;
                put(made.of + n, weight * kept.of[n]);
            }
            *(Four<T>*)(weights + number * tile.width + four * 4) = made;
        }
        total = over_row<Sum>(total);
        if (!lane) {
            totals[number] = total;
            log_totals[whole] = total == 0 ? -lowest() : logarithm(total) + peak;
        }
    }
}

// What products with weights have summed up, by the weights' sums.
extern "C" __global__ void divide(
    const C* sums, const C* totals, T* out, const Layout lay, const Tile tile, i64 wide
) {
    const i64 count = tile.matrices * tile.rows * wide;
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        const i64 number = at / wide, column = at % wide;
        const i64 matrix = tile.first_matrix + number / tile.rows, query = tile.first_row + number % tile.rows;
        const C total = totals[number];
        put(out + place(lay, matrix) + query * lay.row + column * lay.column, sums[at] / (total == 0 ? 1 : total));
    }
}

// For each query the sum of g * out, both by rows in one piece.
extern "C" __global__ void pull(const T* g, const T* out, C* pulls, i64 rows, i64 wide) {
    const int lane = threadIdx.x % 32;
    const i64 stride = (i64)gridDim.x * (blockDim.x / 32);
    for (i64 row = (i64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; row < rows; row += stride) {
        C total = 0;
        for (i64 at = row * wide + lane; at < (row + 1) * wide; at += 32) total += widened(g[at]) * widened(out[at]);
        total = over_warp<Sum>(total);
        if (!lane) pulls[row] = total;
    }
}

// The weights once more, after dropout, and the gradients of the scores; `pushes` are those of the weights after dropout.
// The former may be where the scores are, the latter where the pushes are.
extern "C" __global__ void __launch_bounds__(THREADS) slopes(
    const C* scores, const C* pushes, T* weights, T* found, const C* log_totals, const C* pulls, const M* mask,
    const Layout lay, const Tile tile, C scale, const Dropout drop
) {
    ROWS {
        ROW
        const C log_total = log_totals[whole], pull = pulls[whole];
        for (i64 four = lane; four < fours; four += LANES) {
            const i64 at = number * tile.width + four * 4;
            const Four<C> some = four_of(row, own, lay.column, four * 4, seen, scale);
            const Four<C> kept = kept_of(drop, whole * tile.fours + four), push = *(const Four<C>*)(pushes + at);
            Four<T> used, slope;
            for (int n = 0; n < 4; n++) {
                const C weight = power(some.of[n] - log_total);
                put(used.of + n, weight * kept.of[n]);
                put(slope.of + n, four * 4 + n < seen ? weight * (push.of[n] * kept.of[n] - pull) : 0);
            }
            *(Four<T>*)(weights + at) = used;
            *(Four<T>*)(found + at) = slope;
        }
    }
}
