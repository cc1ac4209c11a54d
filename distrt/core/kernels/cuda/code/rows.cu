// Softmax, cross entropy and normalisation of rows. LANES threads share a row: a warp or a block. A row is read once
// where each thread can keep its HELD elements; where HELD is 0 it is read again, from the cache.
//
// T: the dtype of inputs and outputs. Statistics, losses and probabilities are float, or double beside it.

typedef Computed<T>::type C;

// A block may be larger than 256 threads only where the compiler knows: it takes fewer registers then, of which there
// are 65,536 for a block.
#define THREADS (LANES == 32 ? 256 : LANES)

#if HELD
#define EACH(k, at) _Pragma("unroll") for (int k = 0; k < HELD; k++) if (const i64 at = lane + (i64)k * LANES; at < width)
#define HOLD(name) C name[HELD]
#define HELD_OR_READ(name, row, k, at) name[k]
#define READ(name, row, k, at) (name[k] = widened(row[at]))
#else
#define EACH(k, at) for (i64 k = 0, at = lane; at < width; at += LANES)
#define HOLD(name)
#define HELD_OR_READ(name, row, k, at) widened(row[at])
#define READ(name, row, k, at) widened(row[at])
#endif

template <class How> __device__ inline C over_row(C x) {
#if LANES == 32
    return over_warp<How>(x);
#else
    return over_block<How, LANES>(x);
#endif
}

__device__ inline C lowest() { return (C)minus_infinity(); }

// All threads of a warp or a block leave or stay together.
#define ROWS \
    const int lane = threadIdx.x % LANES; \
    const i64 stride = (i64)gridDim.x * (blockDim.x / LANES); \
    for (i64 number = (i64)blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES; number < rows; number += stride)

// exp(x - max) / sum, or its logarithm.
extern "C" __global__ void __launch_bounds__(THREADS) softmax(
    const T* input, T* out, i64 rows, i64 width, int is_log
) {
    ROWS {
        const T* row = input + number * width;
        T* made = out + number * width;
        HOLD(x);
        C peak = lowest(), total = 0;
        EACH(k, at) peak = larger(peak, READ(x, row, k, at));
        peak = over_row<Max>(peak);
        EACH(k, at) total += power(HELD_OR_READ(x, row, k, at) - peak);
        total = over_row<Sum>(total);
        const C shift = logarithm(total);
        EACH(k, at) {
            const C from_peak = HELD_OR_READ(x, row, k, at) - peak;
            put(made + at, is_log ? from_peak - shift : power(from_peak) / total);
        }
    }
}

// The gradient of a softmax's input, or of its logarithm's, from those and their gradient.
extern "C" __global__ void __launch_bounds__(THREADS) softmax_slopes(
    const T* g, const T* out, T* found, i64 rows, i64 width, int is_log
) {
    ROWS {
        const T *own = g + number * width, *given = out + number * width;
        T* made = found + number * width;
        HOLD(slope);
        HOLD(value);
        C total = 0;
        EACH(k, at) {
            const C s = READ(slope, own, k, at), v = READ(value, given, k, at);
            total += is_log ? s : s * v;
        }
        total = over_row<Sum>(total);
        EACH(k, at) {
            const C s = HELD_OR_READ(slope, own, k, at), v = HELD_OR_READ(value, given, k, at);
            put(made + at, is_log ? s - power(v) * total : v * (s - total));
        }
    }
}

// The negative logarithm of the target's probability, and all probabilities.
extern "C" __global__ void __launch_bounds__(THREADS) class_losses(
    const T* input, const i64* targets, C* losses, C* probabilities, i64 rows, i64 width
) {
    ROWS {
        const T* row = input + number * width;
        HOLD(x);
        C peak = lowest(), total = 0;
        EACH(k, at) peak = larger(peak, READ(x, row, k, at));
        peak = over_row<Max>(peak);
        EACH(k, at) total += power(HELD_OR_READ(x, row, k, at) - peak);
        total = over_row<Sum>(total);
        EACH(k, at) probabilities[number * width + at] = power(HELD_OR_READ(x, row, k, at) - peak) / total;
        const i64 target = targets[number];
        if (!lane && target >= 0 && target < width)
            losses[number] = peak - widened(row[target]) + logarithm(total);
    }
}

// factor * (probability - 1 at the target): one factor for each row, or one for all.
extern "C" __global__ void __launch_bounds__(THREADS) class_slopes(
    const C* probabilities, const C* factors, const i64* targets, T* found, i64 rows, i64 width, int is_one_factor
) {
    ROWS {
        const C factor = factors[is_one_factor ? 0 : number];
        const i64 target = targets[number];
        for (i64 at = lane; at < width; at += LANES) {
            const C p = probabilities[number * width + at];
            put(found + number * width + at, factor * (at == target ? p - 1 : p));
        }
    }
}

// Rows with mean 0 (where they are to be centred) and variance 1, times weight plus bias.
extern "C" __global__ void __launch_bounds__(THREADS) normalise(
    const T* input, const W* weight, const W* bias, T* out, C* averages, C* variances, i64 rows, i64 width, C eps,
    int is_centred
) {
    ROWS {
        const T* row = input + number * width;
        T* made = out + number * width;
        HOLD(x);
        C total = 0, squares = 0;
        EACH(k, at) total += READ(x, row, k, at);
        const C average = is_centred ? over_row<Sum>(total) / width : 0;
        EACH(k, at) {
            const C far = HELD_OR_READ(x, row, k, at) - average;
            squares += far * far;
        }
        const C variance = over_row<Sum>(squares) / width, scale = 1 / sqrt(variance + eps);
        EACH(k, at) {
            C value = (HELD_OR_READ(x, row, k, at) - average) * scale;
            if (weight) value *= (C)widened(weight[at]);
            if (bias) value += (C)widened(bias[at]);
            put(made + at, value);
        }
        if (!lane) {
            variances[number] = variance;
            if (is_centred) averages[number] = average;
        }
    }
}

// The gradient of a normalisation's input.
extern "C" __global__ void __launch_bounds__(THREADS) normal_slopes(
    const T* g, const T* input, const W* weight, const C* averages, const C* variances, T* found, i64 rows, i64 width,
    C eps, int is_centred
) {
    ROWS {
        const T *own = g + number * width, *given = input + number * width;
        T* made = found + number * width;
        HOLD(slope);
        HOLD(x);
        const C average = is_centred ? averages[number] : 0, scale = 1 / sqrt(variances[number] + eps);
        C push = 0, pull = 0;
        EACH(k, at) {
            const C s = READ(slope, own, k, at) * (weight ? (C)widened(weight[at]) : 1);
            push += s;
            pull += s * ((READ(x, given, k, at) - average) * scale);
        }
        push = is_centred ? over_row<Sum>(push) / width : 0;
        pull = over_row<Sum>(pull) / width;
        EACH(k, at) {
            const C s = HELD_OR_READ(slope, own, k, at) * (weight ? (C)widened(weight[at]) : 1);
            const C normal = (HELD_OR_READ(x, given, k, at) - average) * scale;
            put(made + at, (s - push - normal * pull) * scale);
        }
    }
}

// What stretches of rows add to the gradients of weight and bias: a thread for each place in a row.
extern "C" __global__ void parameter_slopes(
    const T* g, const T* input, const C* averages, const C* variances, C* of_weight, C* of_bias, i64 rows, i64 width,
    C eps, int is_centred, int stretch
) {
    const i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x, first = (i64)blockIdx.y * stretch;
    if (at >= width) return;
    C weight = 0, bias = 0;
    for (i64 number = first; number < first + stretch && number < rows; number++) {
        const C s = widened(g[number * width + at]), average = is_centred ? averages[number] : 0;
        bias += s;
        weight += s * ((widened(input[number * width + at]) - average) * (1 / sqrt(variances[number] + eps)));
    }
    of_weight[(i64)blockIdx.y * width + at] = weight;
    of_bias[(i64)blockIdx.y * width + at] = bias;
}

// What all stretches add up to, in their order: of weights in the first row of blocks, of biases in the second.
extern "C" __global__ void parameter_totals(const C* parts, C* of_weight, C* of_bias, i64 width, int stretches) {
    const i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= width) return;
    double sum = 0;
    for (int stretch = 0; stretch < stretches; stretch++) sum += parts[((i64)blockIdx.y * stretches + stretch) * width + at];
    (blockIdx.y ? of_bias : of_weight)[at] = (C)sum;
}
