// What is looked at on the GPU, so that nobody waits for it.

// Notes the first number that is outside [low, high), and of what kind the check was.
extern "C" __global__ void require_range(
    const I* numbers, i64 count, i64 low, i64 high, i64 exempt, int has_exempt, i64* fault, i64 kind
) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        const i64 number = (i64)numbers[at];
        if ((number < low || number >= high) && !(has_exempt && number == exempt)) note(fault, kind, number, high);
    }
}

struct Gradients {
    u64 pointers[CAPACITY];
    i64 sizes[CAPACITY];
    int starts[CAPACITY];
    int numbers[CAPACITY];
    int count;
};

// Multiplies gradients; found is 1 where one was not finite, and first the lowest number of such a one.
extern "C" __global__ void unscale(const Gradients sets, float factor, float* found, u32* first) {
    int set = 0;
    for (int below = sets.count; below - set > 1;) {
        int middle = (set + below) / 2;
        if ((int)blockIdx.x < sets.starts[middle]) below = middle; else set = middle;
    }
    T* values = at_address<T>(sets.pointers[set]);
    const i64 from = (i64)((int)blockIdx.x - sets.starts[set]) * PER_BLOCK, size = sets.sizes[set];
    bool is_wrong = false;
    for (i64 at = from + threadIdx.x; at < from + PER_BLOCK && at < size; at += blockDim.x) {
        const Computed<T>::type value = widened(values[at]);
        is_wrong |= !(value - value == 0);  // NaN for what is infinite or NaN
        if (factor != 1) put(values + at, value * factor);
    }
    if (is_wrong) {
        *found = 1;
        atomicMin(first, (u32)sets.numbers[set]);
    }
}
