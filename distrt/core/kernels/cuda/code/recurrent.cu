// What happens to a step of a recurrent layer beside its products: a thread for each unit of each sequence that is not
// over. Gates stand in rows of as many parts as there are gates, each `size` wide.
//
// T: the dtype of inputs, states and weights, in which products with the state are made; all else is float, or double
// beside it.

typedef Computed<T>::type C;

__device__ inline float bounded(float x) { return tanhf(x); }
__device__ inline double bounded(double x) { return tanh(x); }
__device__ inline C sigmoid(C x) { return 1 / (1 + power(-x)); }

#define EACH(row, unit) \
    for (i64 row = blockIdx.y; row < count; row += gridDim.y) \
        for (i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x; unit < size; unit += (i64)gridDim.x * blockDim.x)

// Gates of the projections' sums, in place: input, forget, cell, output. Moves the cell; writes the state where it is
// given, which it is not where it is projected first.
extern "C" __global__ void lstm(
    C* gates, C* cell, T* state, T* output, T* earlier, C* earlier_cells, C* squashed, i64 count, i64 size
) {
    EACH(row, unit) {
        C* own = gates + row * 4 * size + unit;
        const i64 at = row * size + unit;
        const C let_in = sigmoid(own[0]), forget = sigmoid(own[size]);
        const C candidate = bounded(own[2 * size]), let_out = sigmoid(own[3 * size]);
        const C before = cell[at], after = forget * before + let_in * candidate, shown = bounded(after);
        own[0] = let_in;
        own[size] = forget;
        own[2 * size] = candidate;
        own[3 * size] = let_out;
        earlier_cells[at] = before;
        cell[at] = after;
        squashed[at] = shown;
        put(output + at, let_out * shown);
        if (state) {
            earlier[at] = state[at];
            put(state + at, let_out * shown);
        }
    }
}

// The gradients of the projections' sums; moves the cell's to the step before. `g_state` is of what `lstm` has put out.
extern "C" __global__ void lstm_back(
    const C* gates, const C* earlier_cells, const C* squashed, const C* g_state, const T* g_output, C* g_cell, T* slopes,
    i64 count, i64 size
) {
    EACH(row, unit) {
        const C* own = gates + row * 4 * size + unit;
        T* made = slopes + row * 4 * size + unit;
        const i64 at = row * size + unit;
        const C let_in = own[0], forget = own[size], candidate = own[2 * size], let_out = own[3 * size];
        const C shown = squashed[at], g = g_state[at] + (g_output ? widened(g_output[at]) : 0);
        const C of_cell = g_cell[at] + g * let_out * (1 - shown * shown);
        put(made, of_cell * candidate * let_in * (1 - let_in));
        put(made + size, of_cell * earlier_cells[at] * forget * (1 - forget));
        put(made + 2 * size, of_cell * let_in * (1 - candidate * candidate));
        put(made + 3 * size, g * shown * let_out * (1 - let_out));
        g_cell[at] = of_cell * forget;
    }
}

// The gradient of a state from both that come to it, in the dtype of products.
extern "C" __global__ void joined(const C* g_state, const T* g_output, T* made, i64 count, i64 size) {
    EACH(row, unit) {
        const i64 at = row * size + unit;
        put(made + at, g_state[at] + (g_output ? widened(g_output[at]) : 0));
    }
}

// Gates in place of the input's projection: reset, update, new; `recurrent` is the state's projection without its bias,
// and what the reset multiplies of it is kept. `narrow` is the state in the dtype of products, which may be that itself.
extern "C" __global__ void gru(
    C* gates, const C* recurrent, const T* bias, C* recurrent_new, C* state, T* narrow, T* output, i64 count, i64 size
) {
    EACH(row, unit) {
        C* own = gates + row * 3 * size + unit;
        const C* more = recurrent + row * 3 * size + unit;
        const i64 at = row * size + unit;
        C shift[3] = {0, 0, 0};
        if (bias) for (int gate = 0; gate < 3; gate++) shift[gate] = widened(bias[gate * size + unit]);
        const C reset = sigmoid(own[0] + more[0] + shift[0]), update = sigmoid(own[size] + more[size] + shift[1]);
        const C held = more[2 * size] + shift[2], fresh = bounded(own[2 * size] + reset * held);
        const C after = fresh + update * (state[at] - fresh);
        own[0] = reset;
        own[size] = update;
        own[2 * size] = fresh;
        recurrent_new[at] = held;
        state[at] = after;
        put(narrow + at, after);
        put(output + at, after);
    }
}

// The state that a step began with: what the step before has put out, or the first state of a sequence that was not there.
__device__ inline T state_before(const T* output, i64 rows, const T* first, i64 row, i64 at) {
    return row < rows ? output[at] : first[at];
}

// The gradients of both projections, which differ in the new gate; what comes to the state past its product.
extern "C" __global__ void gru_back(
    const C* gates, const C* recurrent_new, const T* before, i64 rows_before, const T* first, T* earlier, C* g_state,
    const T* g_output, T* g_projected, T* g_recurrent, i64 count, i64 size
) {
    EACH(row, unit) {
        const C* own = gates + row * 3 * size + unit;
        const i64 at = row * size + unit, begin = row * 3 * size + unit;
        const C reset = own[0], update = own[size], fresh = own[2 * size];
        const T state = state_before(before, rows_before, first, row, at);
        const C g = g_state[at] + (g_output ? widened(g_output[at]) : 0);
        const C of_new = g * (1 - update) * (1 - fresh * fresh);
        const C of_reset = of_new * recurrent_new[at] * reset * (1 - reset);
        const C of_update = g * (widened(state) - fresh) * update * (1 - update);
        put(g_projected + begin, of_reset);
        put(g_recurrent + begin, of_reset);
        put(g_projected + begin + size, of_update);
        put(g_recurrent + begin + size, of_update);
        put(g_projected + begin + 2 * size, of_new);
        put(g_recurrent + begin + 2 * size, of_new * reset);
        earlier[at] = state;
        g_state[at] = g * update;
    }
}

// tanh or relu of the projections' sum.
extern "C" __global__ void plain(const C* sums, T* state, T* output, i64 count, i64 size, int is_tanh) {
    EACH(row, unit) {
        const i64 at = row * size + unit;
        const C x = sums[at], after = is_tanh ? bounded(x) : larger(x, (C)0);
        put(state + at, after);
        put(output + at, after);
    }
}

// The gradient of that sum.
extern "C" __global__ void plain_back(
    const T* output, const T* before, i64 rows_before, const T* first, T* earlier, const C* g_state, const T* g_output,
    T* slopes, i64 count, i64 size, int is_tanh
) {
    EACH(row, unit) {
        const i64 at = row * size + unit;
        const C after = widened(output[at]), g = g_state[at] + (g_output ? widened(g_output[at]) : 0);
        put(slopes + at, is_tanh ? g * (1 - after * after) : after > 0 ? g : 0);
        earlier[at] = state_before(before, rows_before, first, row, at);
    }
}
