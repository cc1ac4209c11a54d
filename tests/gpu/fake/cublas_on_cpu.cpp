// The functions of cuBLAS that distrt calls, with its signatures, computed by loops on the CPU. With -DCHECK_SIGNATURES and
// cuBLAS's own headers on the include path, the compiler compares the signatures.

#include "on_cpu.h"

#ifdef CHECK_SIGNATURES
#include <cublas_v2.h>
#else
typedef void *cublasHandle_t, *cudaStream_t;
typedef int cublasStatus_t, cublasOperation_t, cudaDataType, cublasComputeType_t, cublasGemmAlgo_t;
#endif

enum Compute { BY_F16 = 64, BY_F32 = 68, BY_F32_PEDANTIC = 69, BY_F64 = 70, BY_F32_AS_F16 = 74, BY_F32_AS_BF16 = 75, BY_TF32 = 77 };

static bool is_complex(int kind) { return kind == C64 || kind == C128; }
static bool is_double(int kind) { return kind == F64 || kind == C128; }

// Which arithmetic cuBLAS has for arrays of a dtype and results of another one.
static bool suits(int compute, int kind, int result) {
    switch (compute) {
        case BY_F64: return is_double(kind) && result == kind;
        case BY_F32:
        case BY_F32_PEDANTIC: return !is_double(kind) && (result == kind || (result == F32 && !is_complex(kind)));
        case BY_F32_AS_F16:
        case BY_F32_AS_BF16:
        case BY_TF32: return (kind == F32 || kind == C64) && result == kind;
        case BY_F16: return kind == F16 && result == F16;
        default: return false;
    }
}

typedef std::complex<double> Complex;
template <class T> static T number(int kind, const void* there, ptrdiff_t at) {
    if constexpr (std::is_same_v<T, double>)
        return get(kind, there, at);
    else
        return {get(kind == C128, there, 2 * at), get(kind == C128, there, 2 * at + 1)};
}
static void put(int kind, void* there, ptrdiff_t at, double value) { set(kind, there, at, value); }
static void put(int kind, void* there, ptrdiff_t at, Complex value) {
    set(kind == C128, there, 2 * at, value.real());
    set(kind == C128, there, 2 * at + 1, value.imag());
}
static double conjugate(double value) { return value; }
static Complex conjugate(Complex value) { return std::conj(value); }

struct Matrix {
    int operation;  // 0 as it is, 1 transposed, 2 and conjugated
    const void* data;
    int kind, line;
    long long stride;
    template <class T> T at(int batch, int row, int col) const {
        const ptrdiff_t place = batch * stride + (operation ? col + (ptrdiff_t)row * line : row + (ptrdiff_t)col * line);
        const T found = number<T>(kind, data, place);
        return operation == 2 ? conjugate(found) : found;
    }
};

template <class T>
static Work product(Matrix a, Matrix b, int m, int n, int k, T scale, T keep, void* c, int kind, int line, long long stride, int count) {
    return [=] {
        for (int batch = 0; batch < count; batch++) for (int col = 0; col < n; col++) for (int row = 0; row < m; row++) {
            T sum = 0;
            for (int p = 0; p < k; p++) sum += a.at<T>(batch, row, p) * b.at<T>(batch, p, col);
            const ptrdiff_t at = batch * stride + row + (ptrdiff_t)col * line;
            // what is not kept may be NaN
            put(kind, c, at, scale * sum + (keep == T(0) ? T(0) : keep * number<T>(kind, c, at)));
        }
    };
}

// A factor, which lies in the host's memory.
template <class T> static T factor(int compute, int kind, const void* from) {
    const int own = compute == BY_F64 ? F64 : compute == BY_F16 ? F16 : F32;
    return number<T>(is_complex(kind) ? kind : own, (const char*)from + SHIFT, 0);
}

extern "C" {
cublasStatus_t cublasCreate_v2(cublasHandle_t* out) { *out = (cublasHandle_t) new Handle{}; return (cublasStatus_t)0; }
cublasStatus_t cublasSetStream_v2(cublasHandle_t it, cudaStream_t stream) {
    if (!it) return (cublasStatus_t)1;
    ((Handle*)it)->stream = (void*)stream;
    return (cublasStatus_t)0;
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k, const void* alpha, const void* a, cudaDataType ta, int lda, long long int sa, const void* b, cudaDataType tb, int ldb, long long int sb, const void* beta, void* c, cudaDataType tc, int ldc, long long int sc, int count, cublasComputeType_t compute, cublasGemmAlgo_t algo) {
    const bool fits = m >= 0 && n >= 0 && k >= 0 && lda >= 1 && lda >= (opa ? k : m) && ldb >= 1 && ldb >= (opb ? n : k) && ldc >= 1 && ldc >= m;
    if (!handle || ta != tb || !fits || !suits((int)compute, (int)ta, (int)tc)) return (cublasStatus_t)7;
    const Matrix first = {(int)opa, a, (int)ta, lda, sa}, second = {(int)opb, b, (int)tb, ldb, sb};
    auto made = [&](auto zero) {
        typedef decltype(zero) T;
        const T scale = factor<T>((int)compute, (int)ta, alpha), keep = factor<T>((int)compute, (int)ta, beta);
        return product<T>(first, second, m, n, k, scale, keep, c, (int)tc, ldc, sc, count);
    };
    const Work work = is_complex((int)ta) ? made(Complex()) : made(0.0);
    return (cublasStatus_t)(queued(((Handle*)handle)->stream, work) ? 0 : 14);
}
}
