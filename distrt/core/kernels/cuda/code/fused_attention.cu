// Attention forward without scores in memory: a block has some queries and goes through the keys, COLUMNS at a time, with
// the softmax's peak and sum of each query so far. Source: Dao 2023, "FlashAttention-2", algorithm 1.
//
// MASKED: whether there is a mask, of the dtype M.

#define QUERIES OWN_ROWS

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) attend(
    const T* query, const T* key, const T* value, T* out, float* log_totals, const M* mask, const Layout query_lay,
    const Layout key_lay, const Layout value_lay, const Layout out_lay, const Layout mask_lay, const Sizes sizes,
    const Dropout drop
) {
    SHARED_ROOM;
    const int lane = threadIdx.x % 32, length = (int)sizes.length, source = (int)sizes.source;
    const i64 matrix = blockIdx.x / sizes.blocks;
    // The longest rows of causal attention first, so that no block is left alone with them at the end.
    const int first = (int)(sizes.blocks - 1 - blockIdx.x % sizes.blocks) * QUERIES;
    const int warp_row = first + threadIdx.x / 32 * TILES * 16;
    const int seen = sizes.is_causal && first + QUERIES < source ? first + QUERIES : source;
    const Shared queries = shared_address(room), keys = queries + QUERIES * PITCH, values = keys + COLUMNS * PITCH;
    key += place(key_lay, sizes, matrix);
    value += place(value_lay, sizes, matrix);
    if (MASKED) mask += place(mask_lay, sizes, matrix);
    const u64 drop_key = DROPPED ? moved(drop) : 0;
    const float scale = sizes.scale * LOG2_E, unit = MASKED ? 1 : scale;

    fetch<QUERIES>(queries, query + place(query_lay, sizes, matrix), query_lay.row, first, length);
    fetch<COLUMNS>(keys, key, key_lay.row, 0, source);
    wait_for_copies();
    __syncthreads();
    Own own;
    own.take(queries);

    float sums[TILES][WIDE / 8][4], peaks[TILES][2], totals[TILES][2];
    EACH_NUMBER(WIDE) sums[t][n][e] = 0;
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            peaks[t][half] = minus_infinity();
            totals[t][half] = 0;
        }

    for (int start = 0; start < seen; start += COLUMNS) {
        wait_for_copies();
        __syncthreads();  // the keys are there, and nobody reads the last values any more
        fetch<COLUMNS>(values, value, value_lay.row, start, source);
        float scores[TILES][COLUMNS / 8][4];
        multiply(scores, own, keys);
        wait_for_copies();
        __syncthreads();
        if (start + COLUMNS < seen) fetch<COLUMNS>(keys, key, key_lay.row, start + COLUMNS, source);

        if (MASKED) EACH_NUMBER(COLUMNS) {
            const int row = ROW_OF(t, e), column = start + COLUMN_OF(n, e);
            scores[t][n][e] *= scale;
            if (row < length && column < source)
                scores[t][n][e] = masked(scores[t][n][e], mask[row * mask_lay.row + column * mask_lay.column]);
        }
        if (start + COLUMNS > source || (sizes.is_causal && start + COLUMNS > warp_row + 1)) EACH_NUMBER(COLUMNS) {
            const int beyond = sizes.is_causal && ROW_OF(t, e) + 1 < source ? ROW_OF(t, e) + 1 : source;
            scores[t][n][e] = start + COLUMN_OF(n, e) < beyond ? scores[t][n][e] : minus_infinity();
        }
#pragma unroll
        for (int t = 0; t < TILES; t++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float peak = peaks[t][half], total = 0;  // of scores before they are scaled, where nothing is added
#pragma unroll
                for (int n = 0; n < COLUMNS / 8; n++)
                    peak = fmaxf(peak, fmaxf(scores[t][n][2 * half], scores[t][n][2 * half + 1]));
                peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, 1));
                peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, 2));
                const float base = peak == minus_infinity() ? 0 : peak * unit;
                const float shrinking = power_of_two(fmaf(peaks[t][half], unit, -base));
                peaks[t][half] = peak;
#pragma unroll
                for (int n = 0; n < COLUMNS / 8; n++)
#pragma unroll
                    for (int e = 2 * half; e < 2 * half + 2; e++) {
                        scores[t][n][e] = power_of_two(fmaf(scores[t][n][e], unit, -base));
                        total += scores[t][n][e];
                    }
                totals[t][half] = fmaf(totals[t][half], shrinking, total);
#pragma unroll
                for (int n = 0; n < WIDE / 8; n++)
#pragma unroll
                    for (int e = 2 * half; e < 2 * half + 2; e++) sums[t][n][e] *= shrinking;
            }
        if (DROPPED) {
#pragma unroll
            for (int t = 0; t < TILES; t++)
#pragma unroll
                for (int n = 0; n < COLUMNS / 8; n++) {
                    float factors[4];
                    const u64 row = matrix * sizes.length + ROW_OF(t, 0);
                    kept_by_rows(factors, drop, drop_key, row * drop.fours + (start + COLUMN_OF(n, 0)) / 4);
#pragma unroll
                    for (int e = 0; e < 4; e++) scores[t][n][e] *= factors[e];
                }
        }
        add_product(sums, scores, values);
    }

    out += place(out_lay, sizes, matrix);
#pragma unroll
    for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float total = totals[t][half];
            total += __shfl_xor_sync(0xffffffffu, total, 1);
            total += __shfl_xor_sync(0xffffffffu, total, 2);
            const int row = ROW_OF(t, 2 * half);
            if (row >= length) continue;
            const float inverse = total == 0 ? 1 : 1 / total;
            if (lane % 4 == 0)
                log_totals[matrix * sizes.length + row] =
                    total == 0 ? -minus_infinity() : logf(total) + peaks[t][half] * unit / LOG2_E;
#pragma unroll
            for (int n = 0; n < WIDE / 8; n++)
                if (n * 8 < WIDTH)
                    put_two(out + row * out_lay.row + COLUMN_OF(n, 0), sums[t][n][2 * half] * inverse,
                            sums[t][n][2 * half + 1] * inverse);
        }
}
