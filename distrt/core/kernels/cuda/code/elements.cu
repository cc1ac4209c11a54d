// Element by element, a vector at a time. T: the dtype.

struct alignas(sizeof(T) * VECTOR) Vector { T of[VECTOR]; };

// Values where others are not 0 (NaN is not), else 0.
extern "C" __global__ void keep_nonzero(const T* values, const T* others, T* made, i64 vectors) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < vectors; at += step) {
        const Vector given = ((const Vector*)values)[at], by = ((const Vector*)others)[at];
        Vector found;
        for (int n = 0; n < VECTOR; n++) put(found.of + n, widened(by.of[n]) != 0 ? widened(given.of[n]) : 0);
        ((Vector*)made)[at] = found;
    }
}
