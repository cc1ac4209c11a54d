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

// Shared memory that a launch asks for, and addresses in it. Copies arrive when they have been waited for; of what is not
// there, zeros do.
typedef unsigned Shared;
#define SHARED_ROOM extern __shared__ __align__(16) unsigned char room[]

__device__ inline Shared shared_address(const void* place) { return (Shared)__cvta_generic_to_shared(place); }

__device__ inline void copy_16_bytes(Shared to, const void* from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::
                     "r"(to), "l"(__cvta_generic_to_global(from)), "r"(is_there ? 16 : 0) : "memory");
}

__device__ inline void copy_4_bytes(Shared to, const void* from, bool is_there) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::
                     "r"(to), "l"(__cvta_generic_to_global(from)), "r"(is_there ? 4 : 0) : "memory");
}

__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Four matrices of 8 x 8 numbers of 16 bits, of whose rows each lane names one. A lane gets two neighbours of each: in row
// lane / 4 from 2 * (lane % 4) on, or of a column, where they are turned.
__device__ inline void load_fragments(unsigned* found, Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3]) : "r"(row) : "memory");
}

__device__ inline void load_turned_fragments(unsigned* found, Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(found[0]), "=r"(found[1]), "=r"(found[2]), "=r"(found[3]) : "r"(row) : "memory");
}

// sums += a @ b, by tensor cores: 16 x 16 numbers by 16 x 8, as the warp's lanes have them.
#define MULTIPLY_ADD(kind) \
    __device__ inline void multiply_add_##kind(float* sums, const unsigned* a, const unsigned* b) { \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." #kind "." #kind ".f32 " \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                     : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]) \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); \
    } \
    __device__ inline unsigned pair_##kind(float first, float second) { \
        unsigned found; \
        asm("cvt.rn." #kind "x2.f32 %0, %1, %2;" : "=r"(found) : "f"(second), "f"(first)); \
        return found; \
    }
MULTIPLY_ADD(f16)
MULTIPLY_ADD(bf16)

__device__ inline float power_of_two(float x) {
    float found;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(found) : "f"(x));
    return found;
}

template <class T> __device__ inline T* at_address(unsigned long long address) { return (T*)address; }
