// The functions of cuBLASLt that distrt calls, with its signatures, computed by loops on the CPU. With -DCHECK_SIGNATURES
// and cuBLAS's own headers on the include path, the compiler compares the signatures.

#include "on_cpu.h"

#ifdef CHECK_SIGNATURES
#include <cublasLt.h>
#else
typedef void *cudaStream_t, *cublasLtHandle_t, *cublasLtMatmulDesc_t, *cublasLtMatrixLayout_t, *cublasLtMatmulPreference_t;
typedef int cublasLtMatmulDescAttributes_t, cublasLtMatmulPreferenceAttributes_t;
struct cublasLtMatmulAlgo_t { uint64_t data[8]; };
struct cublasLtMatmulHeuristicResult_t { cublasLtMatmulAlgo_t algo; size_t workspaceSize; int state; float wavesCount; int reserved[4]; };
typedef int cublasStatus_t, cudaDataType, cudaDataType_t, cublasComputeType_t;
#endif

extern "C" {
// Descriptors say what each product is; the heuristic refuses what the library does not have.

struct Product { int compute, scale, first, second, epilogue; char* vector; };
struct Layout { int kind; uint64_t rows, columns; int64_t line; };
struct Wish { uint64_t workspace; uint32_t aligned[4]; };
static const uint64_t CHOSEN = 0x5eed, ROOM = 4096;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* out) { *out = (cublasLtHandle_t) new int; return (cublasStatus_t)0; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* out, cublasComputeType_t compute, cudaDataType_t scale) {
    *out = (cublasLtMatmulDesc_t) new Product{(int)compute, (int)scale, 0, 0, 1, nullptr};
    return (cublasStatus_t)0;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t it) { delete (Product*)it; return (cublasStatus_t)0; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t it, cublasLtMatmulDescAttributes_t what, const void* from, size_t size) {
    Product* own = (Product*)it;
    if (size != ((int)what == 8 ? sizeof(void*) : sizeof(int))) return (cublasStatus_t)7;
    switch ((int)what) {
        case 3: memcpy(&own->first, from, size); break;
        case 4: memcpy(&own->second, from, size); break;
        case 7: memcpy(&own->epilogue, from, size); break;
        case 8: memcpy(&own->vector, from, size); break;
        default: return (cublasStatus_t)7;
    }
    return (cublasStatus_t)0;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* out, cudaDataType kind, uint64_t rows, uint64_t columns, int64_t line) {
    if (line < (int64_t)rows || !rows || !columns) return (cublasStatus_t)7;
    *out = (cublasLtMatrixLayout_t) new Layout{(int)kind, rows, columns, line};
    return (cublasStatus_t)0;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t it) { delete (Layout*)it; return (cublasStatus_t)0; }
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* out) {
    *out = (cublasLtMatmulPreference_t) new Wish{0, {256, 256, 256, 256}};
    return (cublasStatus_t)0;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t it) { delete (Wish*)it; return (cublasStatus_t)0; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t it, cublasLtMatmulPreferenceAttributes_t what, const void* from, size_t size) {
    Wish* own = (Wish*)it;
    if ((int)what == 1 && size == 8) memcpy(&own->workspace, from, 8);
    else if ((int)what >= 5 && (int)what <= 8 && size == 4) memcpy(own->aligned + (int)what - 5, from, 4);
    else return (cublasStatus_t)7;
    return (cublasStatus_t)0;
}

static bool fits(const Product* p, const Layout* a, const Layout* b, const Layout* d) {
    const uint64_t m = p->first ? a->columns : a->rows, k = p->first ? a->rows : a->columns;
    const uint64_t again = p->second ? b->columns : b->rows, n = p->second ? b->rows : b->columns;
    return k == again && m == d->rows && n == d->columns && a->kind == b->kind && (d->kind == a->kind || d->kind == 0);
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t wish, int wanted, cublasLtMatmulHeuristicResult_t found[], int* count) {
    const Product* p = (Product*)product;
    *count = 0;
    if (!handle || !wish || wanted < 1 || !fits(p, (Layout*)a, (Layout*)b, (Layout*)d) || c != d) return (cublasStatus_t)7;
    if (((Layout*)d)->rows == 13) return (cublasStatus_t)15;  // "not supported", so that somebody meets it
    if ((p->epilogue != 4 && p->epilogue != 512) || !p->vector || (p->compute != 68 && p->compute != 77) || p->scale) return (cublasStatus_t)15;
    memset(found, 0, sizeof *found);
    found->algo.data[0] = CHOSEN;
    found->workspaceSize = ROOM;
    *count = 1;
    return (cublasStatus_t)(((Wish*)wish)->workspace < ROOM ? 15 : 0);
}
static bool is_off(const void* it, uint32_t unit) { return !it || (uintptr_t)it % unit; }
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void* alpha, const void* a, cublasLtMatrixLayout_t la, const void* b, cublasLtMatrixLayout_t lb, const void* beta, const void* c, cublasLtMatrixLayout_t lc, void* d, cublasLtMatrixLayout_t ld, const cublasLtMatmulAlgo_t* algo, void* room, size_t size, cudaStream_t stream) {
    const Product* p = (Product*)product;
    const Layout *first = (Layout*)la, *second = (Layout*)lb, *made = (Layout*)ld;
    if (!handle || c != d || lc != ld || !fits(p, first, second, made) || algo->data[0] != CHOSEN || size < ROOM || is_off(room, 16)) return (cublasStatus_t)7;
    const uint64_t inner = p->first ? first->rows : first->columns;
    const double factor = *(const float*)alpha;
    if (*(const float*)beta != 0) return (cublasStatus_t)7;
    // The descriptors may be gone when a graph runs it.
    const Work work = [=, p = *p, first = *first, second = *second, made = *made] {
        for (uint64_t col = 0; col < made.columns; col++) {
            double sums = 0;
            for (uint64_t k = 0; k < inner; k++) sums += get(second.kind, b, p.second ? col + k * second.line : k + col * second.line);
            if (p.epilogue == 512) set(made.kind, p.vector, col, sums);
            for (uint64_t row = 0; row < made.rows; row++) {
                double sum = 0;
                for (uint64_t k = 0; k < inner; k++)
                    sum += get(first.kind, a, p.first ? k + row * first.line : row + k * first.line)
                         * get(second.kind, b, p.second ? col + k * second.line : k + col * second.line);
                set(made.kind, d, row + col * made.line, factor * sum + (p.epilogue == 4 ? get(made.kind, p.vector, row) : 0));
            }
        }
    };
    return (cublasStatus_t)(queued((void*)stream, work) ? 0 : 14);
}
}
