// Tiles of matrices in shared memory, and products of them by tensor cores. A warp has TILES times 16 rows of a result.
//
// T: float16 or bfloat16; WIDTH: how many numbers a row has, a multiple of 8; THREADS: a block's; TILES: see above; HOLD:
// whether a warp keeps its own rows in registers; COLUMNS: how many of the others it takes at a time.

typedef unsigned char u8;

// What products take: multiples of 16. Rows lie so far apart that the eight of a fragment are in different banks.
#define WIDE ((WIDTH + 15) / 16 * 16)
#define PITCH ((WIDE + 8) * 2)

#define OWN_ROWS (THREADS / 32 * TILES * 16)

// How the matrices of an array lie, in elements; sizes are the batch's, the outermost first, or 1.
#define DIMS 6
struct Layout { i64 steps[DIMS], row, column; };
struct Sizes {
    i64 batch[DIMS], length, source, blocks;  // queries and keys of a matrix, and by how many blocks it is done
    int is_causal;
    float scale;
};

__device__ inline i64 place(const Layout& lay, const Sizes& sizes, i64 matrix) {
    i64 at = 0;
    for (int dim = DIMS - 1; dim >= 0; dim--)
        if (sizes.batch[dim] > 1) {
            at += matrix % sizes.batch[dim] * lay.steps[dim];
            matrix /= sizes.batch[dim];
        }
    return at;
}

__device__ inline void multiply_add(float* sums, const u32* a, const u32* b, float16) { multiply_add_f16(sums, a, b); }
__device__ inline void multiply_add(float* sums, const u32* a, const u32* b, bfloat16) { multiply_add_bf16(sums, a, b); }
__device__ inline u32 pair_of(float first, float second, float16) { return pair_f16(first, second); }
__device__ inline u32 pair_of(float first, float second, bfloat16) { return pair_bf16(first, second); }

struct alignas(8) Two { float of[2]; };
__device__ inline void put_two(float* to, float first, float second) { *(Two*)to = {first, second}; }
__device__ inline void put_two(float16* to, float first, float second) { *(u32*)to = pair_of(first, second, float16()); }
__device__ inline void put_two(bfloat16* to, float first, float second) { *(u32*)to = pair_of(first, second, bfloat16()); }

// Some rows of a matrix; those beyond its last are zeros. They are there when waited for.
template <int ROWS> __device__ inline void fetch(Shared to, const T* from, i64 step, int first, int rows) {
    const int chunks = WIDE / 8;
#pragma unroll
    for (int n = 0; n < (ROWS * chunks + THREADS - 1) / THREADS; n++) {
        const int at = n * THREADS + threadIdx.x, row = at / chunks, chunk = at % chunks;
        if (ROWS * chunks % THREADS && at >= ROWS * chunks) break;
        const bool is_there = first + row < rows && chunk * 8 < WIDTH;
        copy_16_bytes(to + row * PITCH + chunk * 16, from + (is_there ? (first + row) * step + chunk * 8 : 0), is_there);
    }
}

// The rows of a warp, the left factor of its products.
struct Own {
    Shared at;
    u32 held[HOLD ? WIDE / 16 : 1][TILES][4];

    __device__ inline void take(Shared tile) {
        at = tile + (threadIdx.x / 32 * TILES * 16 + threadIdx.x % 16) * PITCH + threadIdx.x % 32 / 16 * 16;
        if (HOLD) {
#pragma unroll
            for (int k = 0; k < (HOLD ? WIDE / 16 : 0); k++) load(held[k], k);
        }
    }
    __device__ inline void load(u32 (&found)[TILES][4], int k) const {
#pragma unroll
        for (int t = 0; t < TILES; t++) load_fragments(found[t], at + t * 16 * PITCH + k * 32);
    }
};

// The warp's rows times rows of another matrix. Lanes have the results as multiply_add (device.cu) has them.
__device__ inline void multiply(float (&found)[TILES][COLUMNS / 8][4], const Own& own, Shared other) {
    const int lane = threadIdx.x % 32;
    const Shared at = other + (lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 16;
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) found[t][n][e] = 0;
#pragma unroll
    for (int k = 0; k < WIDE / 16; k++) {
        u32 loaded[TILES][4];
        if (!HOLD) own.load(loaded, k);
#pragma unroll
        for (int n = 0; n < COLUMNS / 16; n++) {
            u32 b[4];
            load_fragments(b, at + n * 16 * PITCH + k * 32);
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                const u32* a = HOLD ? own.held[HOLD ? k : 0][t] : loaded[t];
                multiply_add(found[t][2 * n], a, b, T());
                multiply_add(found[t][2 * n + 1], a, b + 2, T());
            }
        }
    }
}

// sums += weights times rows of another matrix, of which there is one for each column of the weights.
__device__ inline void add_product(
    float (&sums)[TILES][WIDE / 8][4], const float (&weights)[TILES][COLUMNS / 8][4], Shared other
) {
    const Shared at = other + threadIdx.x % 16 * PITCH + threadIdx.x % 32 / 16 * 16;
#pragma unroll
    for (int k = 0; k < COLUMNS / 16; k++) {
        u32 a[TILES][4];
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const float* two = weights[t][2 * k + n / 2] + n % 2 * 2;
                a[t][n] = pair_of(two[0], two[1], T());
            }
#pragma unroll
        for (int n = 0; n < WIDE / 16; n++) {
            u32 b[4];
            load_turned_fragments(b, at + k * 16 * PITCH + n * 32);
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                multiply_add(sums[t][2 * n], a[t], b, T());
                multiply_add(sums[t][2 * n + 1], a[t], b + 2, T());
            }
        }
    }
}

// A lane's numbers of a warp's result: row and column of number e of tile t, n.
#define ROW_OF(t, e) (warp_row + (t) * 16 + (e) / 2 * 8 + lane / 4)
#define COLUMN_OF(n, e) ((n) * 8 + lane % 4 * 2 + (e) % 2)
#define EACH_NUMBER(columns) \
    _Pragma("unroll") for (int t = 0; t < TILES; t++) \
        _Pragma("unroll") for (int n = 0; n < (columns) / 8; n++) \
            _Pragma("unroll") for (int e = 0; e < 4; e++)

// Scores of attention, and what hides some of them.

#define LOG2_E 1.4426950408889634f

// Programs hide keys by the least finite number, too, which is to stay finite: a query that has no others sees all alike.
#define LEAST -2e38f

__device__ inline float masked(float score, u8 sees) { return sees ? score : minus_infinity(); }
__device__ inline float masked(float score, float more) {
    return score + (more < LEAST && more > minus_infinity() ? LEAST : more) * LOG2_E;
}
__device__ inline float masked(float score, double more) { return masked(score, (float)more); }
__device__ inline float masked(float score, float16 more) { return masked(score, widened(more)); }
__device__ inline float masked(float score, bfloat16 more) { return masked(score, widened(more)); }

// What dropout multiplies weights with: 0 where a word's upper 24 bits are less than `least`, else the factor. The words
// are those of common.cu's philox, four of them for four keys of a query: `fours` to a row, all rows in the batch's order.
struct Dropout { u64 key, more, fours; u32 least; float factor; };

__device__ inline u64 moved(const Dropout& drop) { return drop.key + (drop.more ? *at_address<const u64>(drop.more) : 0); }
__device__ inline float kept(const Dropout& drop, u32 word) { return word >> 8 >= drop.least ? drop.factor : 0; }

// Of a lane's four numbers, where rows are queries; `four` is that of its row and its first column. Two lanes share the
// words of two rows, and each draws one row's.
__device__ inline void kept_by_rows(float* found, const Dropout& drop, u64 key, u64 four) {
    const bool is_odd = threadIdx.x % 2;
    u32 words[4];
    philox(four + (is_odd ? 8 * drop.fours : 0), key, words);
    const u32 third = __shfl_xor_sync(0xffffffffu, is_odd ? words[0] : words[2], 1);
    const u32 fourth = __shfl_xor_sync(0xffffffffu, is_odd ? words[1] : words[3], 1);
    found[0] = kept(drop, is_odd ? third : words[0]);
    found[1] = kept(drop, is_odd ? fourth : words[1]);
    found[2] = kept(drop, is_odd ? words[2] : third);
    found[3] = kept(drop, is_odd ? words[3] : fourth);
}

// Where rows are keys: `four` is that of its first column and its row. Four lanes, of four rows, share the words of two
// rows of fours by two columns, and each draws one's.
__device__ inline void kept_by_columns(float* found, const Dropout& drop, u64 key, u64 four) {
    const int own = threadIdx.x / 4 % 4;
    u32 words[4];
    philox(four + (own % 2 ? drop.fours : 0) + own / 2 * 2, key, words);
#pragma unroll
    for (int far = 0; far < 4; far++) {
        const int other = own ^ far;
        const u32 sent = other == 0 ? words[0] : other == 1 ? words[1] : other == 2 ? words[2] : words[3];
        const float got = kept(drop, __shfl_xor_sync(0xffffffffu, sent, far * 4));
#pragma unroll
        for (int e = 0; e < 4; e++) found[e] = e == other ? got : found[e];
    }
}
