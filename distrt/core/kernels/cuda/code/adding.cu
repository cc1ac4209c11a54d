// Adds rows up by number, in an order that is always the same. Numbers are sorted; a stretch of them is a thread's, for
// VECTOR columns. A run of one number within a stretch is added at once; what it has in further stretches waits in `begun`
// and `more`, for a second launch. T: the dtype of rows and sums, (outer, n, inner) and (outer, size, inner); K: of keys.

typedef Computed<T>::type C;

struct alignas(sizeof(T) * VECTOR) Vector { T each[VECTOR]; };

struct Shape { i64 count, size, outer, inner; int stretch, is_mean; i64 padding; };

#define STRETCHES \
    const i64 across = s.outer * s.inner / VECTOR, stretches = (s.count + s.stretch - 1) / s.stretch; \
    const i64 step = (i64)gridDim.x * blockDim.x; \
    for (i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x; number < stretches * across; number += step)

// The first place, from `low` on, whose key is not below `bound`.
__device__ inline i64 first_from(const K* keys, i64 low, i64 high, K bound) {
    while (low < high) {
        const i64 middle = (low + high) / 2;
        if (keys[middle] < bound) low = middle + 1; else high = middle;
    }
    return low;
}

__device__ inline void add_to(T* sums, const K* keys, K key, const C* total, i64 column, const Shape& s) {
    if ((i64)key >= s.size || (i64)key == s.padding) return;
    C share = 1;
    if (s.is_mean) share = first_from(keys, 0, s.count, key + 1) - first_from(keys, 0, s.count, key);
    T* to = sums + (column / s.inner * s.size + (i64)key) * s.inner + column % s.inner;
    Vector made = *(Vector*)to;
    for (int v = 0; v < VECTOR; v++) put(made.each + v, widened(made.each[v]) + total[v] / share);
    *(Vector*)to = made;
}

extern "C" __global__ void add_stretches(
    const T* rows, const K* keys, const u32* order, T* sums, C* begun, C* more, const Shape s
) {
    STRETCHES {
        const i64 column = number % across * VECTOR, first = number / across * s.stretch;
        const i64 last = first + s.stretch < s.count ? first + s.stretch : s.count;
        const T* from = rows + column / s.inner * s.count * s.inner + column % s.inner;
        bool began_before = first && keys[first - 1] == keys[first];
        C total[VECTOR] = {};
        for (i64 start = first; start < last; start += 4) {
            Vector some[4];
            K key[5];
            _Pragma("unroll") for (int k = 0; k < 4; k++) if (start + k < last) {
                some[k] = *(const Vector*)(from + (i64)order[start + k] * s.inner);
                key[k] = keys[start + k];
            }
            for (int k = 0; k < 4 && start + k < last; k++) {
                const i64 behind = start + k + 1;
                for (int v = 0; v < VECTOR; v++) total[v] += widened(some[k].each[v]);
                const bool goes_on = behind < s.count && keys[behind] == key[k];
                if (goes_on && behind < last) continue;
                if (began_before || goes_on)
                    for (int v = 0; v < VECTOR; v++) (began_before ? more : begun)[number * VECTOR + v] = total[v];
                else add_to(sums, keys, key[k], total, column, s);
                for (int v = 0; v < VECTOR; v++) total[v] = 0;
                began_before = false;
            }
        }
    }
}

// Who has begun a run that goes on adds what further stretches have of it.
extern "C" __global__ void join_stretches(const K* keys, T* sums, const C* begun, const C* more, const Shape s) {
    STRETCHES {
        const i64 column = number % across * VECTOR, first = number / across * s.stretch;
        i64 end = first + s.stretch;
        if (end >= s.count || keys[end] != keys[end - 1]) continue;
        const K key = keys[end];
        if (first && keys[first - 1] == key) continue;  // it was begun before
        C total[VECTOR];
        for (int v = 0; v < VECTOR; v++) total[v] = begun[number * VECTOR + v];
        for (i64 other = number; end < s.count && keys[end] == key; end += s.stretch) {
            other += across;
            for (int v = 0; v < VECTOR; v++) total[v] += more[other * VECTOR + v];
        }
        add_to(sums, keys, key, total, column, s);
    }
}
