// What only a GPU has. Tests put their own in its place, to run kernels where there is none (tests/gpu/fake).

__device__ inline float float_of_half(unsigned short bits) {
    float found;
    asm("cvt.f32.f16 %0, %1;" : "=f"(found) : "h"(bits));
    return found;
}

__device__ inline unsigned short half_of_float(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

template <class T> __device__ inline T* at_address(unsigned long long address) { return (T*)address; }
