// cuBLAS's settings, and its products of matrices of one type: all by the product of any dtype.

#include "cublas.h"

static const int F32_ARITHMETIC = 68, F64_ARITHMETIC = 70;

EXPORT int cublasGemmStridedBatchedEx(void* handle, int opa, int opb, int m, int n, int k, const void* alpha,
                                      const void* a, int ta, int lda, Long sa, const void* b, int tb, int ldb, Long sb,
                                      const void* beta, void* c, int tc, int ldc, Long sc, int count, int compute,
                                      int algo);

template <class T> constexpr int kind_of = is_complex<T> ? (sizeof(T) == 8 ? C64 : C128) : (sizeof(T) == 4 ? F32 : F64);

template <class T>
static int product(void* handle, int opa, int opb, int m, int n, int k, const T* alpha, const T* a, int lda, Long sa,
                   const T* b, int ldb, Long sb, const T* beta, T* c, int ldc, Long sc, int count) {
    const int kind = kind_of<T>, compute = sizeof(Real<T>) == 8 ? F64_ARITHMETIC : F32_ARITHMETIC;
    const int status = cublasGemmStridedBatchedEx(handle, opa, opb, m, n, k, alpha, a, kind, lda, sa, b, kind, ldb, sb,
                                                  beta, c, kind, ldc, sc, count, compute, 0);
    if (status) complain("cuBLAS refuses a product: m %d n %d k %d lda %d ldb %d ldc %d", m, n, k, lda, ldb, ldc);
    return status;
}

template <class T>
static int products(void* handle, int opa, int opb, int m, int n, int k, const T* alpha, const T* const* a, int lda,
                    const T* const* b, int ldb, const T* beta, T* const* c, int ldc, int count) {
    for (int g = 0; g < count; g++) {
        const int status = product(handle, opa, opb, m, n, k, alpha, a[g], lda, 0, b[g], ldb, 0, beta, c[g], ldc, 0, 1);
        if (status) return status;
    }
    return 0;
}

template <class T>
static int matrix_vector(void* handle, int op, int m, int n, const T* alpha, const T* a, int lda, const T* x, int ix,
                         const T* beta, T* y, int iy) {
    EXPECT(lda >= at_least_1(m) && ix > 0 && iy > 0);
    // A vector whose elements lie apart is a matrix of one row, so the whole product is transposed.
    if (iy != 1 && op != 2)
        return product(handle, 0, !op, 1, op ? n : m, op ? m : n, alpha, x, ix, 0, a, lda, 0, beta, y, iy, 0, 1);
    EXPECT(iy == 1);
    return product(handle, op, 1, op ? n : m, 1, op ? m : n, alpha, a, lda, 0, x, ix, 0, beta, y,
                   at_least_1(op ? n : m), 0, 1);
}

EXPORT int cublasDestroy_v2(void*) { return 0; }
EXPORT int cublasGetStream_v2(void* handle, void** out) {
    *out = ((Handle*)handle)->stream;
    return 0;
}
EXPORT int cublasSetMathMode(void* handle, int mode) {
    ((Handle*)handle)->math = mode;
    return 0;
}
EXPORT int cublasGetMathMode(void* handle, int* out) {
    *out = ((Handle*)handle)->math;
    return 0;
}
EXPORT int cublasSetPointerMode_v2(void* handle, int mode) {
    ((Handle*)handle)->pointers = mode;
    return 0;
}
EXPORT int cublasGetPointerMode_v2(void* handle, int* out) {
    *out = ((Handle*)handle)->pointers;
    return 0;
}
EXPORT int cublasGetVersion_v2(void*, int* out) {
    *out = 130000;
    return 0;
}

EXPORT int cublasGemmEx(void* handle, int opa, int opb, int m, int n, int k, const void* alpha, const void* a, int ta,
                        int lda, const void* b, int tb, int ldb, const void* beta, void* c, int tc, int ldc,
                        int compute, int algo) {
    return cublasGemmStridedBatchedEx(handle, opa, opb, m, n, k, alpha, a, ta, lda, 0, b, tb, ldb, 0, beta, c, tc, ldc,
                                      0, 1, compute, algo);
}
EXPORT int cublasSgemmEx(void* handle, int opa, int opb, int m, int n, int k, const float* alpha, const void* a, int ta,
                         int lda, const void* b, int tb, int ldb, const float* beta, void* c, int tc, int ldc) {
    return cublasGemmEx(handle, opa, opb, m, n, k, alpha, a, ta, lda, b, tb, ldb, beta, c, tc, ldc, F32_ARITHMETIC, 0);
}

// -- What is exported: P is the letter of a type T.

#define PRODUCTS(P, T)                                                                                                 \
    EXPORT int cublas##P##gemm_v2(void* h, int opa, int opb, int m, int n, int k, const T* alpha, const T* a, int lda, \
                                  const T* b, int ldb, const T* beta, T* c, int ldc) {                                 \
        return product<T>(h, opa, opb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);                      \
    }                                                                                                                  \
    EXPORT int cublas##P##gemmStridedBatched(void* h, int opa, int opb, int m, int n, int k, const T* alpha,           \
                                             const T* a, int lda, Long sa, const T* b, int ldb, Long sb,               \
                                             const T* beta, T* c, int ldc, Long sc, int count) {                       \
        return product<T>(h, opa, opb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, count);               \
    }                                                                                                                  \
    EXPORT int cublas##P##gemmBatched(void* h, int opa, int opb, int m, int n, int k, const T* alpha, const T** a,     \
                                      int lda, const T** b, int ldb, const T* beta, T** c, int ldc, int count) {       \
        return products<T>(h, opa, opb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, count);                          \
    }                                                                                                                  \
    EXPORT int cublas##P##gemv_v2(void* h, int op, int m, int n, const T* alpha, const T* a, int lda, const T* x,      \
                                  int ix, const T* beta, T* y, int iy) {                                               \
        return matrix_vector<T>(h, op, m, n, alpha, a, lda, x, ix, beta, y, iy);                                       \
    }
PRODUCTS(S, float)
PRODUCTS(D, double)
PRODUCTS(C, Complex64)
PRODUCTS(Z, Complex128)
