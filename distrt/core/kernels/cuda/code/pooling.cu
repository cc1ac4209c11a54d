// The largest element of each window, and its number among the window's positions; the last NaN, where there is one.
// A line is an image of one row, and that a volume of one plane. T: the dtype; N: that of the numbers.

struct Windows {
    i64 steps[5];  // of the input, in elements: sample, channel, and the three spatial dims
    int channels, is_last, in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
};

extern "C" __global__ void largest(const T* input, T* best, N* winner, i64 count, const Windows w) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        i64 rest = at;
        int channel = 0, place[3];
        if (w.is_last) { channel = rest % w.channels; rest /= w.channels; }
        for (int dim = 2; dim >= 0; dim--) { place[dim] = rest % w.out[dim]; rest /= w.out[dim]; }
        if (!w.is_last) { channel = rest % w.channels; rest /= w.channels; }
        const T* plane = input + rest * w.steps[0] + channel * w.steps[1];
        bool has_one = false, is_nan = false;
        Computed<T>::type most = 0;
        T kept = T();
        int number = 0, chosen = 0;
        for (int a = 0; a < w.kernel[0]; a++) for (int b = 0; b < w.kernel[1]; b++) for (int c = 0; c < w.kernel[2]; c++, number++) {
            const int x = place[0] * w.stride[0] - w.padding[0] + a * w.dilation[0];
            const int y = place[1] * w.stride[1] - w.padding[1] + b * w.dilation[1];
            const int z = place[2] * w.stride[2] - w.padding[2] + c * w.dilation[2];
            if (x < 0 || x >= w.in[0] || y < 0 || y >= w.in[1] || z < 0 || z >= w.in[2]) continue;
            const T found = plane[x * w.steps[2] + y * w.steps[3] + z * w.steps[4]];
            const Computed<T>::type value = widened(found);
            if (value != value || !has_one || (!is_nan && value > most)) {
                is_nan |= value != value;
                has_one = true;
                most = value;
                kept = found;
                chosen = number;
            }
        }
        best[at] = kept;
        winner[at] = (N)chosen;
    }
}
