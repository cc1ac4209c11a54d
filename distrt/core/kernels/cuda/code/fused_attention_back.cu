// Attention backward without scores in memory. Weights are made again from the logarithms of their sums, once by blocks of
// keys (BY_KEYS), which sum up the gradients of keys and values over the queries, and once by blocks of queries, which sum
// up theirs over the keys: so every sum has one order, and nothing is added atomically. Source: Dao 2023, algorithm 2.
//
// A block has its own rows (keys and values; or queries and the result's gradients) and goes through the others', COLUMNS
// at a time. MASKED: whether there is a mask, of the dtype M; G: the dtype of gradients.

#define TILE (COLUMNS * PITCH)
#define FLOATS (BY_KEYS ? COLUMNS * 4 : 0)  // bytes

// Of the others: rows of two matrices; by keys, what goes with each query, too.
__device__ inline void fetch_others(
    Shared to, const T* one, i64 one_step, const T* two, i64 two_step, const float* log_totals, const float* pulls,
    int first, int rows
) {
    fetch<COLUMNS>(to, one, one_step, first, rows);
    fetch<COLUMNS>(to + TILE, two, two_step, first, rows);
    if (BY_KEYS)
        for (int n = threadIdx.x; n < COLUMNS; n += THREADS) {
            const bool is_there = first + n < rows;
            copy_4_bytes(to + 2 * TILE + n * 4, log_totals + (is_there ? first + n : 0), is_there);
            copy_4_bytes(to + 2 * TILE + FLOATS + n * 4, pulls + (is_there ? first + n : 0), is_there);
        }
}

__device__ inline void put_rows(G* to, const float (&sums)[TILES][WIDE / 8][4], float scale, int warp_row, int rows) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = ROW_OF(t, 2 * half);
            if (row >= rows) continue;
#pragma unroll
            for (int n = 0; n < WIDE / 8; n++)
                if (n * 8 < WIDTH)
                    put_two(to + (i64)row * WIDTH + COLUMN_OF(n, 0), sums[t][n][2 * half] * scale,
                            sums[t][n][2 * half + 1] * scale);
        }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) attend_back(
    const T* query, const T* key, const T* value, const T* g, G* g_first, G* g_value, const float* log_totals,
    const float* pulls, const M* mask, const Layout query_lay, const Layout key_lay, const Layout value_lay,
    const Layout g_lay, const Layout mask_lay, const Sizes sizes, const Dropout drop
) {
    SHARED_ROOM;
    const int lane = threadIdx.x % 32, length = (int)sizes.length, source = (int)sizes.source;
    const i64 matrix = blockIdx.x / sizes.blocks, number = blockIdx.x % sizes.blocks;
    const int first = (int)(BY_KEYS ? number : sizes.blocks - 1 - number) * OWN_ROWS;  // the longest way first
    const int warp_row = first + threadIdx.x / 32 * TILES * 16;
    query += place(query_lay, sizes, matrix);
    key += place(key_lay, sizes, matrix);
    value += place(value_lay, sizes, matrix);
    g += place(g_lay, sizes, matrix);
    log_totals += matrix * sizes.length;
    pulls += matrix * sizes.length;
    if (MASKED) mask += place(mask_lay, sizes, matrix);
    const u64 drop_key = DROPPED ? moved(drop) : 0;
    const float scale = sizes.scale * LOG2_E;

    const T *own_one = BY_KEYS ? key : query, *own_two = BY_KEYS ? value : g;
    const T *other_one = BY_KEYS ? query : key, *other_two = BY_KEYS ? g : value;
    const i64 own_step = BY_KEYS ? key_lay.row : query_lay.row, own_step_two = BY_KEYS ? value_lay.row : g_lay.row;
    const i64 step = BY_KEYS ? query_lay.row : key_lay.row, step_two = BY_KEYS ? g_lay.row : value_lay.row;
    const int own_rows = BY_KEYS ? source : length, rows = BY_KEYS ? length : source;
    const int begin = BY_KEYS && sizes.is_causal ? first / COLUMNS * COLUMNS : 0;
    const int end = !BY_KEYS && sizes.is_causal && first + OWN_ROWS < rows ? first + OWN_ROWS : rows;

    const int stage = 2 * TILE + 2 * FLOATS;
    const Shared own_tile = shared_address(room), others = own_tile + 2 * OWN_ROWS * PITCH;
    fetch<OWN_ROWS>(own_tile, own_one, own_step, first, own_rows);
    fetch<OWN_ROWS>(own_tile + OWN_ROWS * PITCH, own_two, own_step_two, first, own_rows);
    if (begin < end) fetch_others(others, other_one, step, other_two, step_two, log_totals, pulls, begin, rows);
    wait_for_copies();
    __syncthreads();
    Own one, two;
    one.take(own_tile);
    two.take(own_tile + OWN_ROWS * PITCH);

    float row_logs[TILES][2], row_pulls[TILES][2];
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = ROW_OF(t, 2 * half);
            row_logs[t][half] = !BY_KEYS && row < length ? log_totals[row] * LOG2_E : 0;
            row_pulls[t][half] = !BY_KEYS && row < length ? pulls[row] : 0;
        }
    float sums[TILES][WIDE / 8][4], value_sums[TILES][WIDE / 8][4];
    EACH_NUMBER(WIDE) {
        sums[t][n][e] = 0;
        if (BY_KEYS) value_sums[t][n][e] = 0;
    }

    int turn = 0;
    for (int start = begin; start < end; start += COLUMNS, turn ^= 1) {
        wait_for_copies();
        __syncthreads();  // the next ones are there, and nobody reads the last ones any more
        const Shared tile = others + turn * stage;
        if (start + COLUMNS < end)
            fetch_others(others + (turn ^ 1) * stage, other_one, step, other_two, step_two, log_totals, pulls,
                         start + COLUMNS, rows);
        const float* floats = (const float*)(room + 2 * OWN_ROWS * PITCH + turn * stage + 2 * TILE);
        float scores[TILES][COLUMNS / 8][4], slopes[TILES][COLUMNS / 8][4];
        multiply(scores, one, tile);
        if (MASKED) EACH_NUMBER(COLUMNS) {
            const int row = ROW_OF(t, e), column = start + COLUMN_OF(n, e);
            const i64 asks = BY_KEYS ? column : row, asked = BY_KEYS ? row : column;
            scores[t][n][e] *= scale;
            if (asks < length && asked < source)
                scores[t][n][e] = masked(scores[t][n][e], mask[asks * mask_lay.row + asked * mask_lay.column]);
        }
        const bool is_at_end = !BY_KEYS && start + COLUMNS > source;
        const bool is_on_diagonal = BY_KEYS ? start < warp_row + TILES * 16 - 1 : start + COLUMNS > warp_row + 1;
        if (is_at_end || (sizes.is_causal && is_on_diagonal)) EACH_NUMBER(COLUMNS) {
            const int row = ROW_OF(t, e), column = start + COLUMN_OF(n, e);
            const int beyond = sizes.is_causal && row + 1 < source ? row + 1 : source;
            const bool sees = BY_KEYS ? column >= row : column < beyond;
            scores[t][n][e] = sees ? scores[t][n][e] : minus_infinity();
        }
        EACH_NUMBER(COLUMNS) {
            const float log = BY_KEYS ? floats[COLUMN_OF(n, e)] * LOG2_E : row_logs[t][e / 2];
            scores[t][n][e] = power_of_two(fmaf(scores[t][n][e], MASKED ? 1 : scale, -log));
        }
        multiply(slopes, two, tile + TILE);
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int n = 0; n < COLUMNS / 8; n++) {
                float factors[4] = {1, 1, 1, 1};
                if (DROPPED) {
                    const int row = ROW_OF(t, 0), column = start + COLUMN_OF(n, 0);
                    const u64 line = matrix * sizes.length + (BY_KEYS ? column : row);
                    const u64 four = line * drop.fours + (BY_KEYS ? row : column) / 4;
                    if (BY_KEYS) kept_by_columns(factors, drop, drop_key, four);
                    else kept_by_rows(factors, drop, drop_key, four);
                }
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    const float pull = BY_KEYS ? floats[COLUMNS + COLUMN_OF(n, e)] : row_pulls[t][e / 2];
                    const float weight = scores[t][n][e];
                    slopes[t][n][e] = weight * (DROPPED ? fmaf(slopes[t][n][e], factors[e], -pull) : slopes[t][n][e] - pull);
                    if (DROPPED) scores[t][n][e] = weight * factors[e];
                }
            }
        if (BY_KEYS) add_product(value_sums, scores, tile + TILE);
        add_product(sums, slopes, tile);
    }
    const i64 at = matrix * own_rows * WIDTH;
    put_rows(g_first + at, sums, sizes.scale, warp_row, own_rows);
    if (BY_KEYS) put_rows(g_value + at, value_sums, 1, warp_row, own_rows);
}

// For each query the sum of g * out; lanes share a row, and take eight numbers each.
#define LANES (WIDE > 64 ? 16 : WIDE > 32 ? 8 : WIDE > 16 ? 4 : 2)
struct alignas(16) Eight { T of[8]; };

extern "C" __global__ void pull(
    const T* g, const T* out, float* pulls, const Layout g_lay, const Layout out_lay, const Sizes sizes, i64 rows
) {
    const int lane = threadIdx.x % LANES;
    const i64 number = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    const i64 matrix = number / sizes.length, row = number % sizes.length;
    float total = 0;
    if (number < rows && lane * 8 < WIDTH) {
        const Eight a = *(const Eight*)(g + place(g_lay, sizes, matrix) + row * g_lay.row + lane * 8);
        const Eight b = *(const Eight*)(out + place(out_lay, sizes, matrix) + row * out_lay.row + lane * 8);
        for (int n = 0; n < 8; n++) total = fmaf(widened(a.of[n]), widened(b.of[n]), total);
    }
    for (int far = LANES / 2; far; far >>= 1) total += __shfl_xor_sync(0xffffffffu, total, far);
    if (number < rows && !lane) pulls[number] = total;
}
