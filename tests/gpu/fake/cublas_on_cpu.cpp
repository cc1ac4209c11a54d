// The functions of cuBLAS that distrt calls, with its signatures, computed by loops on the CPU. With -DCHECK_SIGNATURES
// and cuBLAS's own headers on the include path, the compiler compares the signatures.

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef CHECK_SIGNATURES
#include <cublas_api.h>
#else
typedef void *cublasHandle_t, *cudaStream_t;
typedef int cublasStatus_t, cublasOperation_t, cudaDataType, cublasComputeType_t, cublasGemmAlgo_t;
#endif

static double get(int kind, const void* there, ptrdiff_t at) {
    const char* p = (const char*)there - (1ull << 60);
    uint16_t bits; uint32_t wide; float x; _Float16 half;
    switch (kind) {
        case 0: return ((const float*)p)[at];
        case 1: return ((const double*)p)[at];
        case 2: memcpy(&half, (const uint16_t*)p + at, 2); return half;
        default: bits = ((const uint16_t*)p)[at]; wide = (uint32_t)bits << 16; memcpy(&x, &wide, 4); return x;
    }
}
static void set(int kind, void* there, ptrdiff_t at, double value) {
    char* p = (char*)there - (1ull << 60);
    float x = value; uint32_t wide; _Float16 half;
    switch (kind) {
        case 0: ((float*)p)[at] = x; break;
        case 1: ((double*)p)[at] = value; break;
        case 2: half = x; memcpy((uint16_t*)p + at, &half, 2); break;
        default: memcpy(&wide, &x, 4); wide += 0x7fff + ((wide >> 16) & 1); ((uint16_t*)p)[at] = wide >> 16;
    }
}
static double number(int compute, const void* host) { return compute == 70 ? *(const double*)host : *(const float*)host; }

extern "C" {
cublasStatus_t cublasCreate_v2(cublasHandle_t* out) { *out = (cublasHandle_t) new int; return (cublasStatus_t)0; }
cublasStatus_t cublasSetStream_v2(cublasHandle_t it, cudaStream_t stream) { return (cublasStatus_t)(it ? 0 : 1); }
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k, const void* alpha, const void* a, cudaDataType ta, int lda, long long int sa, const void* b, cudaDataType tb, int ldb, long long int sb, const void* beta, void* c, cudaDataType tc, int ldc, long long int sc, int count, cublasComputeType_t compute, cublasGemmAlgo_t algo) {
    const int wanted = (int)ta == 1 ? 70 : 68;
    const bool suits = (int)compute == wanted || ((int)compute == 77 && (int)ta == 0);
    const bool result = tc == ta || ((int)tc == 0 && (int)ta != 1);
    if (!handle || ta != tb || !suits || !result || lda < (opa ? k : m) || ldb < (opb ? n : k) || ldc < m) return (cublasStatus_t)7;
    const double scale = number((int)compute, alpha), keep = number((int)compute, beta);
    for (int batch = 0; batch < count; batch++) for (int col = 0; col < n; col++) for (int row = 0; row < m; row++) {
        double sum = 0;
        for (int p = 0; p < k; p++)
            sum += get(ta, a, batch * sa + (opa ? p + (ptrdiff_t)row * lda : row + (ptrdiff_t)p * lda))
                 * get(tb, b, batch * sb + (opb ? col + (ptrdiff_t)p * ldb : p + (ptrdiff_t)col * ldb));
        const ptrdiff_t at = batch * sc + row + (ptrdiff_t)col * ldc;
        set(tc, c, at, scale * sum + (keep ? keep * get(tc, c, at) : 0));
    }
    return (cublasStatus_t)0;
}
}
