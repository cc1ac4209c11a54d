// Values added up at places that may be named more than once, in the order in which they come: the same bits every time.

// Each of sorted is place * count + which value. The first thread of a place adds up all of its values.
extern "C" __global__ void add_in_order(T* target, const i64* sorted, const T* values, i64 count) {
    typedef typename Computed<T>::type C;
    for (i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x; first < count; first += (i64)gridDim.x * blockDim.x) {
        const i64 place = sorted[first] / count;
        if (first && sorted[first - 1] / count == place) continue;
        C sum = widened(target[place]);
        for (i64 next = first; next < count && sorted[next] / count == place; next++)
            sum += widened(values[sorted[next] % count]);
        put(target + place, sum);
    }
}
