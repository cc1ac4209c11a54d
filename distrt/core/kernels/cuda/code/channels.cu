// Normalisation by channel of images seen as (lines, channels, width): what is summed over lines and width, and straight
// lines along each channel. T: the dtype of images; W: that of weights; statistics are float, or double beside it.
// VECTOR elements are read and written at once; an index is of type I, which is 32 bits where that is enough.

typedef Computed<T>::type C;

struct alignas(sizeof(T) * VECTOR) Vector { T each[VECTOR]; };

// Three sums. With PAIRED, what a slope pushes, and what it pulls away from the centre; else count, mean, and the sum of
// squared distances from that mean (Chan, Golub and LeVeque 1979), which loses nothing where the mean is large.
struct Sums { C a, b, c; };

__device__ inline Sums together(Sums one, Sums other) {
#if PAIRED
    return {one.a + other.a, one.b + other.b, 0};
#else
    const C count = one.a + other.a;
    if (count == 0) return one;
    const C apart = other.b - one.b, share = other.a / count;
    return {count, one.b + apart * share, one.c + other.c + apart * apart * one.a * share};
#endif
}

// The sums with some more elements of one channel, of which the first `given` count.
template <int MOST> __device__ inline Sums with(Sums sums, const C* x, const C* slope, int given, C center) {
    Sums more = {0, 0, 0};
#if PAIRED
    _Pragma("unroll") for (int k = 0; k < MOST; k++) if (k < given) {
        more.a += slope[k];
        more.b += slope[k] * (x[k] - center);
    }
#else
    if (!given) return sums;
    _Pragma("unroll") for (int k = 0; k < MOST; k++) if (k < given) more.b += x[k];
    more.a = given;
    more.b = given == MOST ? more.b * ((C)1 / MOST) : more.b / given;
    _Pragma("unroll") for (int k = 0; k < MOST; k++) if (k < given) more.c += (x[k] - more.b) * (x[k] - more.b);
#endif
    return together(sums, more);
}

__device__ inline Sums of_warp(Sums sums) {
    for (int far = 16; far; far >>= 1)
        sums = together(sums, {
            __shfl_xor_sync(0xffffffffu, sums.a, far), __shfl_xor_sync(0xffffffffu, sums.b, far),
            __shfl_xor_sync(0xffffffffu, sums.c, far)});
    return sums;
}

__device__ inline void keep(C* parts, i64 all, i64 at, Sums sums) {
    parts[at] = sums.a;
    parts[all + at] = sums.b;
    if (!PAIRED) parts[2 * all + at] = sums.c;
}

__device__ inline Sums kept(const C* parts, i64 all, i64 at) {
    return {parts[at], parts[all + at], PAIRED ? 0 : parts[2 * all + at]};
}

#define HELD (VECTOR < 8 ? 8 : 16)

// For wide images: LANES threads, a warp or a block, for each part of each channel; warps take pieces of lines in turns.
extern "C" __global__ void sums_of_planes(
    const T* input, const T* slopes, const C* means, C* found, i64 lines, i64 channels, i64 width, i64 own, i64 parts
) {
    __shared__ Sums of_warps[8];
    const int lane = threadIdx.x % 32, warp = threadIdx.x % LANES / 32;
    const i64 step = (i64)gridDim.x * (blockDim.x / LANES), pieces = (width + 32 * HELD - 1) / (32 * HELD);
    i64 number = (i64)blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
    for (; number < channels * parts; number += step) {
        const i64 channel = number % channels, part = number / channels;
        const C center = PAIRED ? means[channel / own] : 0;
        Sums sums = {0, 0, 0};
        for (i64 piece = part * (LANES / 32) + warp; piece < lines * pieces; piece += parts * (LANES / 32)) {
            const i64 line = piece / pieces, from = piece % pieces * (32 * HELD), start = (line * channels + channel) * width;
            C x[HELD], slope[HELD];
            int given = 0;
            _Pragma("unroll") for (int load = 0; load < HELD / VECTOR; load++) {
                const i64 at = from + (load * 32 + lane) * VECTOR;
                if (at >= width) break;
                const Vector some = *(const Vector*)(input + start + at);
#if PAIRED
                const Vector others = *(const Vector*)(slopes + start + at);
#endif
                _Pragma("unroll") for (int v = 0; v < VECTOR; v++) {
                    x[load * VECTOR + v] = widened(some.each[v]);
#if PAIRED
                    slope[load * VECTOR + v] = widened(others.each[v]);
#endif
                }
                given += VECTOR;
            }
            sums = with<HELD>(sums, x, slope, given, center);
        }
        sums = of_warp(sums);
#if LANES > 32
        __syncthreads();  // the last channel's have been read
        if (!lane) of_warps[warp] = sums;
        __syncthreads();
        if (!lane && !warp) for (int other = 1; other < LANES / 32; other++) sums = together(sums, of_warps[other]);
#endif
        if (!lane && !warp) keep(found, channels * parts, number, sums);
    }
}

// For narrow ones, and where channels lie side by side: a thread for VECTOR columns of a stretch of lines; ACROSS threads
// of a block stand beside each other.
extern "C" __global__ void sums_of_columns(
    const T* input, const T* slopes, const C* means, C* found, i64 lines, i64 channels, i64 width, i64 own, i64 stretch
) {
    __shared__ Sums of_rows[256 * VECTOR];
    const int x = threadIdx.x % ACROSS, y = threadIdx.x / ACROSS, rows = 256 / ACROSS;
    const i64 columns = channels * width, column = ((i64)blockIdx.x * ACROSS + x) * VECTOR;
    const i64 first = (i64)blockIdx.y * stretch, last = first + stretch < lines ? first + stretch : lines;
    Sums sums[VECTOR];
    C center[VECTOR];
    _Pragma("unroll") for (int v = 0; v < VECTOR; v++) {
        sums[v] = {0, 0, 0};
        center[v] = PAIRED && column < columns ? means[(column + v) / width / own] : 0;
    }
    for (i64 from = first + y; from < last && column < columns; from += 4 * rows) {
        C values[VECTOR][4], slope[VECTOR][4];
        int given = 0;
        _Pragma("unroll") for (int k = 0; k < 4; k++) {
            const i64 at = (from + k * rows) * columns + column;
            if (from + k * rows >= last) break;
            const Vector some = *(const Vector*)(input + at);
#if PAIRED
            const Vector others = *(const Vector*)(slopes + at);
#endif
            _Pragma("unroll") for (int v = 0; v < VECTOR; v++) {
                values[v][k] = widened(some.each[v]);
#if PAIRED
                slope[v][k] = widened(others.each[v]);
#endif
            }
            given++;
        }
        _Pragma("unroll") for (int v = 0; v < VECTOR; v++) sums[v] = with<4>(sums[v], values[v], slope[v], given, center[v]);
    }
    _Pragma("unroll") for (int v = 0; v < VECTOR; v++) of_rows[v * 256 + threadIdx.x] = sums[v];
    for (int half = rows / 2; half; half /= 2) {
        __syncthreads();
        if (y < half) _Pragma("unroll") for (int v = 0; v < VECTOR; v++) {
            const int at = v * 256 + threadIdx.x;
            of_rows[at] = together(of_rows[at], of_rows[at + half * ACROSS]);
        }
    }
    if (!y && column < columns) _Pragma("unroll") for (int v = 0; v < VECTOR; v++)
        keep(found, columns * gridDim.y, blockIdx.y * columns + column + v, of_rows[v * 256 + threadIdx.x]);
}

// What every step-th of the parts of columns has of a channel.
__device__ inline Sums total_of_one(
    const C* found, i64 channel, i64 channels, i64 columns, i64 parts, int first, int step
) {
    const i64 all = channels * columns * parts;
    Sums sums = {0, 0, 0};
    for (i64 k = first; k < columns * parts; k += step)
        sums = together(sums, kept(found, all, k / columns * channels * columns + channel * columns + k % columns));
    return sums;
}

// What all of them have; every lane of a warp gets the same.
__device__ inline Sums total(const C* found, i64 channel, i64 channels, i64 columns, i64 parts) {
    const Sums sums = of_warp(total_of_one(found, channel, channels, columns, parts, threadIdx.x % 32, 32));
    return {__shfl_sync(0xffffffffu, sums.a, 0), __shfl_sync(0xffffffffu, sums.b, 0), __shfl_sync(0xffffffffu, sums.c, 0)};
}

#define SETS \
    const int lane = threadIdx.x % 32; \
    const i64 stride = (i64)gridDim.x * (blockDim.x / 32); \
    for (i64 set = (i64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; set < sets; set += stride)

// Mean and variance of each set, if there are parts to make them of, and from these the line of each of its `own` channels.
// A weight is of one of `weights` channels. Running statistics that are given go towards the set's, as in `move_running`.
extern "C" __global__ void settle_moments(
    const C* found, C* means, C* variances, const W* weight, const W* bias, C* centers, C* scales, C* shifts,
    C* running_means, C* running_variances, i64 sets, i64 columns, i64 parts, i64 own, i64 weights, C count, C eps, C kept,
    C momentum, C unbiased
) {
    SETS {
        if (parts) {
            const Sums sums = total(found, set, sets, columns, parts);
            if (!lane) {
                means[set] = sums.b;
                variances[set] = sums.c / count;
                if (running_means) {
                    running_means[set] = running_means[set] * kept + sums.b * momentum;
                    running_variances[set] = running_variances[set] * kept + sums.c / count * unbiased * momentum;
                }
            }
            __syncwarp();
        }
        const C mean = means ? means[set] : 0, inverse = 1 / sqrt(variances[set] + eps);
        for (i64 channel = set * own + lane; channel < (set + 1) * own; channel += 32) {
            const i64 at = channel % weights;
            centers[channel] = mean;
            scales[channel] = weight ? inverse * (C)widened(weight[at]) : inverse;
            shifts[channel] = bias ? (C)widened(bias[at]) : 0;
        }
    }
}

// What each channel gives the gradients of weight and bias, and its line to the gradient of the input.
extern "C" __global__ void settle_slopes(
    const C* found, const C* means, const C* variances, const W* weight, C* of_bias, C* of_weight, C* centers, C* scales,
    C* factors, C* shifts, i64 sets, i64 columns, i64 parts, i64 own, i64 weights, C count, C eps
) {
    SETS {
        const C inverse = 1 / sqrt(variances[set] + eps);
        const bool alone = own > columns * parts;  // then a lane does a channel, else all lanes each of them in turn
        C push = 0, pull = 0;
        for (i64 channel = set * own + (alone ? lane : 0); channel < (set + 1) * own; channel += alone ? 32 : 1) {
            const Sums sums = alone ? total_of_one(found, channel, sets * own, columns, parts, 0, 1)
                                    : total(found, channel, sets * own, columns, parts);
            const C factor = weight ? (C)widened(weight[channel % weights]) : 1;
            push += sums.a * factor;
            pull += sums.b * inverse * factor;
            if (alone || !lane) {
                of_bias[channel] = sums.a;
                of_weight[channel] = sums.b * inverse;
            }
        }
        if (alone) {
            push = over_warp<Sum>(push);
            pull = over_warp<Sum>(pull);
        }
        for (i64 channel = set * own + lane; channel < (set + 1) * own; channel += 32) {
            scales[channel] = weight ? inverse * (C)widened(weight[channel % weights]) : inverse;
            centers[channel] = means[set];
            factors[channel] = -inverse * inverse * pull / count;
            shifts[channel] = -inverse * push / count;
        }
    }
}

// What several ranks make together is double. A row of a rank has how many values each channel has, their means, and their
// squared distances from these; with PAIRED the gradients of bias and weight.
extern "C" __global__ void settle_own(
    const C* found, double* own, const double* squares, i64 sets, i64 columns, i64 parts, double count, double eps
) {
    SETS {
        const Sums sums = total(found, set, sets, columns, parts);
        if (lane) continue;
#if PAIRED
        own[set] = sums.a;
        own[sets + set] = sums.b / sqrt(squares[set] / count + eps);
#else
        if (!set) own[0] = count;
        own[1 + set] = sums.b;
        own[1 + sets + set] = sums.c;
#endif
    }
}

#define CHANNEL \
    const i64 channel = (i64)blockIdx.x * blockDim.x + threadIdx.x; \
    if (channel >= channels) return;

// All ranks' rows, one after another (Chan, Golub and LeVeque 1979).
extern "C" __global__ void combine_rows(const double* rows, double* means, double* squares, i64 ranks, i64 channels) {
    CHANNEL
    double mean = 0, square = 0, total = 0;
    for (i64 rank = 0; rank < ranks; rank++) {
        const double* row = rows + rank * (1 + 2 * channels);
        const double count = row[0], before = total;
        if (!count) continue;
        total += count;
        const double apart = row[1 + channel] - mean;
        mean = mean + apart * (count / total);
        square = square + row[1 + channels + channel] + apart * apart * (before * count / total);
    }
    means[channel] = mean;
    squares[channel] = square;
}

// The line of each channel, by the statistics of all ranks; with PAIRED that of the input's gradient, of which `sums` are
// what all ranks' gradients of bias and weight add up to.
extern "C" __global__ void settle_together(
    const double* means, const double* squares, const double* sums, const W* weight, const W* bias, C* centers, C* factors,
    C* shifts, C* scales, i64 channels, double count, double eps
) {
    CHANNEL
    const double inverse = 1 / sqrt(squares[channel] / count + eps);
    const double scale = weight ? inverse * widened(weight[channel]) : inverse;
    centers[channel] = means[channel];
#if PAIRED
    factors[channel] = -scale * inverse * sums[channels + channel] / count;
    shifts[channel] = -scale * sums[channel] / count;
    scales[channel] = scale;
#else
    factors[channel] = scale;
    shifts[channel] = bias ? (C)widened(bias[channel]) : 0;
#endif
}

// (input - center) * factor + shift; with PAIRED plus slope * scale. Each channel has its own numbers; centers and shifts
// that are not there are 0.
extern "C" __global__ void along_lines(
    const T* input, const T* slopes, const C* centers, const C* factors, const C* shifts, const C* scales, T* out, i64 count,
    i64 channels, i64 width
) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 first = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * VECTOR; first < count; first += step * VECTOR) {
        const I line = (I)first / (I)width;
        I place = (I)first - line * (I)width, channel = line % (I)channels;
        const bool is_whole = first + VECTOR <= count;
        Vector some, others, made;
        if (is_whole) {
            some = *(const Vector*)(input + first);
#if PAIRED
            others = *(const Vector*)(slopes + first);
#endif
        } else for (int v = 0; first + v < count; v++) {
            some.each[v] = input[first + v];
#if PAIRED
            others.each[v] = slopes[first + v];
#endif
        }
        _Pragma("unroll") for (int v = 0; v < VECTOR; v++) {
            if (!is_whole && first + v >= count) break;
            C value = (widened(some.each[v]) - (centers ? centers[channel] : 0)) * factors[channel];
            if (shifts) value += shifts[channel];
#if PAIRED
            value += widened(others.each[v]) * scales[channel];
#endif
            put(made.each + v, value);
            if (++place == (I)width) {
                place = 0;
                if (++channel == (I)channels) channel = 0;
            }
        }
        if (is_whole) *(Vector*)(out + first) = made;
        else for (int v = 0; first + v < count; v++) out[first + v] = made.each[v];
    }
}

// Running statistics on their way to a batch's, whose variance is made unbiased; in place.
extern "C" __global__ void move_running(
    T* means, T* variances, const W* of_batch, const W* varies, i64 channels, C kept, C momentum, C unbiased
) {
    const i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= channels) return;
    put(means + at, widened(means[at]) * kept + (C)widened(of_batch[at]) * momentum);
    put(variances + at, widened(variances[at]) * kept + (C)widened(varies[at]) * unbiased * momentum);
}
