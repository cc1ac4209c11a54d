// Pooling over windows of one size, at steps of one size or at random ones in so many dims (FRACTIONAL), or over bins that
// share a dim out among themselves (ADAPTIVE); and the way back, which
// gathers: each element looks into the windows that it is in, so that no two threads write to one place.
// A line is an image of one row, and that a volume of one plane. T: the dtype; N: that of numbers among a window's
// positions; I: that of indices, 32 bits where that is enough.

typedef Computed<T>::type C;

struct Windows {
    int channels, in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];  // channels: that lie side by side, or 1
    int divisor, counts_padding;
};

// Where an element is: the number of its plane, and its place there.
struct Place { I plane; int channel, at[3]; };

__device__ inline Place place_of(I number, const int* sizes, int channels) {
    Place place;
    place.channel = number % (I)channels;
    number /= (I)channels;
    for (int dim = 2; dim >= 0; dim--) { place.at[dim] = number % (I)sizes[dim]; number /= (I)sizes[dim]; }
    place.plane = number;
    return place;
}

__device__ inline I number_of(const Place& place, int a, int b, int c, const int* sizes, int channels) {
    return (((place.plane * sizes[0] + a) * sizes[1] + b) * sizes[2] + c) * channels + place.channel;
}

// A dim of a window: its first element and the one behind its last, without what is padding.
__device__ inline void bounds(const Windows& w, int dim, int number, int* first, int* last) {
#if ADAPTIVE
    *first = (i64)number * w.in[dim] / w.out[dim];
    *last = ((i64)(number + 1) * w.in[dim] + w.out[dim] - 1) / w.out[dim];
#else
    const int from = number * w.stride[dim] - w.padding[dim];
    *first = from < 0 ? 0 : from;
    *last = from + w.kernel[dim] < w.in[dim] ? from + w.kernel[dim] : w.in[dim];
#endif
}

// The windows of a dim that an element is in: the first, and the one behind the last.
__device__ inline void windows_with(const Windows& w, int dim, int at, int* first, int* last) {
#if ADAPTIVE
    *first = (i64)at * w.out[dim] / w.in[dim];
    *last = ((i64)(at + 1) * w.out[dim] + w.in[dim] - 1) / w.in[dim];
#else
    const int reach = (w.kernel[dim] - 1) * w.dilation[dim], from = at + w.padding[dim];
    *first = from > reach ? (from - reach + w.stride[dim] - 1) / w.stride[dim] : 0;
    *last = from / w.stride[dim] + 1 < w.out[dim] ? from / w.stride[dim] + 1 : w.out[dim];
#endif
}

#if FRACTIONAL
__device__ inline C rounded(C value) {
    T kept;
    put(&kept, value);
    return widened(kept);
}

// Where a window of a dim begins, by the sample of its plane, computed in the dtype of samples (Graham 2014). Samples of
// planes are for the width first.
__device__ inline int start_of(const Windows& w, int dim, int number, const T* samples, I plane) {
    const int space = w.in[dim] - w.kernel[dim], last = w.out[dim] - 1;
    if (number >= last) return space;
    const C sample = widened(samples[plane * FRACTIONAL + (FRACTIONAL == 2 ? 2 - dim : dim)]);
    const C step = rounded(rounded(space) / rounded(last));
    return (int)rounded(rounded(rounded(number) + sample) * step) - (int)rounded(sample * step);
}
#endif

// As windows_with, of windows at random steps, too; there may be some among them that the element is not in.
__device__ inline void windows_near(
    const Windows& w, int dim, int at, const T* samples, I plane, int* first, int* last
) {
#if FRACTIONAL
    const int end = w.out[dim] - 1;  // the last stands at the end of the dim, those before in their order
    int low = 0, high = end;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (start_of(w, dim, middle, samples, plane) + w.kernel[dim] > at) high = middle;
        else low = middle + 1;
    }
    *first = low;
    for (*last = low; *last < end && start_of(w, dim, *last, samples, plane) <= at; ++*last);
    if (at >= w.in[dim] - w.kernel[dim]) *last = w.out[dim];
#else
    windows_with(w, dim, at, first, last);
#endif
}

// What the sum of a window is divided by, as far as a dim goes.
__device__ inline int share(const Windows& w, int dim, int number) {
    int first, last;
    bounds(w, dim, number, &first, &last);
#if !ADAPTIVE
    if (w.counts_padding) {
        const int from = number * w.stride[dim] - w.padding[dim], end = w.in[dim] + w.padding[dim];
        return (from + w.kernel[dim] < end ? from + w.kernel[dim] : end) - from;
    }
#endif
    return last - first;
}

#define EACH(number, count) \
    for (i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x; number < count; number += (i64)gridDim.x * blockDim.x)

// The largest element of each window, and its number among the window's positions, or its place in the plane; the last NaN,
// where there is one.
extern "C" __global__ void largest(
    const T* input, T* best, N* winner, i64* places, const T* samples, i64 count, const Windows w
) {
    EACH(number, count) {
        const Place place = place_of((I)number, w.out, w.channels);
        bool has_one = false, is_nan = false;
        C most = 0;
        T kept = T();
        int position = 0, chosen = 0;
        int from[3], to[3], step[3];
        for (int dim = 0; dim < 3; dim++) {
#if ADAPTIVE
            bounds(w, dim, place.at[dim], from + dim, to + dim);
            step[dim] = 1;
#elif FRACTIONAL
            from[dim] = start_of(w, dim, place.at[dim], samples, place.plane);
            to[dim] = from[dim] + w.kernel[dim];
            step[dim] = 1;
#else
            from[dim] = place.at[dim] * w.stride[dim] - w.padding[dim];
            step[dim] = w.dilation[dim];
            to[dim] = from[dim] + w.kernel[dim] * step[dim];
#endif
        }
        for (int a = from[0]; a < to[0]; a += step[0]) for (int b = from[1]; b < to[1]; b += step[1])
            for (int c = from[2]; c < to[2]; c += step[2], position++) {
                if (a < 0 || a >= w.in[0] || b < 0 || b >= w.in[1] || c < 0 || c >= w.in[2]) continue;
                const T found = input[number_of(place, a, b, c, w.in, w.channels)];
                const C value = widened(found);
                if (value != value || !has_one || (!is_nan && value > most)) {
                    is_nan |= value != value;
                    has_one = true;
                    most = value;
                    kept = found;
                    chosen = ADAPTIVE || FRACTIONAL ? (a * w.in[1] + b) * w.in[2] + c : position;
                }
            }
        best[number] = kept;
        if (winner) winner[number] = (N)chosen;
        if (places) places[number] = chosen;
    }
}

// The winners' places in their planes.
extern "C" __global__ void places_of(const N* winner, i64* places, i64 count, const Windows w) {
    EACH(number, count) {
        const Place place = place_of((I)number, w.out, w.channels);
        int rest = winner[number], at[3];
        for (int dim = 2; dim >= 0; dim--) {
            at[dim] = place.at[dim] * w.stride[dim] - w.padding[dim] + rest % w.kernel[dim] * w.dilation[dim];
            rest /= w.kernel[dim];
        }
        places[number] = ((i64)at[0] * w.in[1] + at[1]) * w.in[2] + at[2];
    }
}

// To each element the gradients of the windows that it has won.
extern "C" __global__ void won(const T* slopes, const N* winner, T* found, i64 count, const Windows w) {
    EACH(number, count) {
        const Place place = place_of((I)number, w.in, w.channels);
        int first[3], last[3];
        for (int dim = 0; dim < 3; dim++) windows_with(w, dim, place.at[dim], first + dim, last + dim);
        C total = 0;
        for (int a = last[0] - 1; a >= first[0]; a--) for (int b = last[1] - 1; b >= first[1]; b--)
            for (int c = last[2] - 1; c >= first[2]; c--) {
                const int x = place.at[0] + w.padding[0] - a * w.stride[0], y = place.at[1] + w.padding[1] - b * w.stride[1],
                          z = place.at[2] + w.padding[2] - c * w.stride[2];
                if (x % w.dilation[0] || y % w.dilation[1] || z % w.dilation[2]) continue;
                const int position = (x / w.dilation[0] * w.kernel[1] + y / w.dilation[1]) * w.kernel[2] + z / w.dilation[2];
                const I at = number_of(place, a, b, c, w.out, w.channels);
                if ((int)winner[at] == position) total += widened(slopes[at]);
            }
        put(found + number, total);
    }
}

// To each element the gradients of the windows whose largest is at its place.
extern "C" __global__ void gathered(
    const T* slopes, const i64* places, const T* samples, T* found, i64 count, const Windows w
) {
    EACH(number, count) {
        const Place place = place_of((I)number, w.in, w.channels);
        int first[3], last[3];
        for (int dim = 0; dim < 3; dim++)
            windows_near(w, dim, place.at[dim], samples, place.plane, first + dim, last + dim);
        const i64 mine = ((i64)place.at[0] * w.in[1] + place.at[1]) * w.in[2] + place.at[2];
        C total = 0;
        for (int a = first[0]; a < last[0]; a++) for (int b = first[1]; b < last[1]; b++)
            for (int c = first[2]; c < last[2]; c++) {
                const I at = number_of(place, a, b, c, w.out, w.channels);
                if (places[at] == mine) total += widened(slopes[at]);
            }
        put(found + number, total);
    }
}

// The mean of each window; LANES threads, one or a warp, share it.
extern "C" __global__ void averages(const T* input, T* out, i64 count, const Windows w) {
    const int lane = threadIdx.x % LANES;
    const i64 step = (i64)gridDim.x * (blockDim.x / LANES);
    i64 number = (i64)blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
    for (; number < count; number += step) {
        const Place place = place_of((I)number, w.out, w.channels);
        int first[3], size[3], divisor = w.divisor;
        for (int dim = 0; dim < 3; dim++) {
            bounds(w, dim, place.at[dim], first + dim, size + dim);
            size[dim] -= first[dim];
        }
        C total = 0;
#if LANES == 1
        for (int a = 0; a < size[0]; a++) for (int b = 0; b < size[1]; b++) for (int c = 0; c < size[2]; c++)
            total += widened(input[number_of(place, first[0] + a, first[1] + b, first[2] + c, w.in, w.channels)]);
#else
        const i64 volume = (i64)size[0] * size[1] * size[2];
        for (i64 at = lane; at < volume; at += LANES) {
            const int c = (I)at % (I)size[2], rest = (I)at / (I)size[2], b = rest % size[1], a = rest / size[1];
            total += widened(input[number_of(place, first[0] + a, first[1] + b, first[2] + c, w.in, w.channels)]);
        }
        total = over_warp<Sum>(total);
#endif
        C shares = divisor;
        if (!divisor) {
            shares = 1;
            for (int dim = 0; dim < 3; dim++) shares *= share(w, dim, place.at[dim]);
        }
        if (!lane) put(out + number, total / shares);
    }
}

// To each element its share in the gradients of the windows that it is in.
extern "C" __global__ void shares_in(const T* slopes, T* found, i64 count, const Windows w) {
    EACH(number, count) {
        const Place place = place_of((I)number, w.in, w.channels);
        int first[3], last[3];
        for (int dim = 0; dim < 3; dim++) windows_with(w, dim, place.at[dim], first + dim, last + dim);
        C total = 0;
        for (int a = first[0]; a < last[0]; a++) for (int b = first[1]; b < last[1]; b++)
            for (int c = first[2]; c < last[2]; c++) {
                C shares = w.divisor;
                if (!w.divisor) shares = (C)share(w, 0, a) * share(w, 1, b) * share(w, 2, c);
                total += widened(slopes[number_of(place, a, b, c, w.out, w.channels)]) / shares;
            }
        put(found + number, total);
    }
}
