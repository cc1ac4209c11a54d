// The functions of cuDNN 9 that distrt calls, with its signatures, computed by loops on the CPU: so that descriptors,
// strides and the order of arguments are tried where there is no GPU. With -DCHECK_SIGNATURES and cuDNN's own headers
// on the include path, the compiler compares the signatures.

#include <cmath>
#include <vector>

#include "on_cpu.h"

#ifdef CHECK_SIGNATURES
#include <cudnn.h>
#define HANDLE cudnnHandle_t
#define TENSOR cudnnTensorDescriptor_t
#define FILTER cudnnFilterDescriptor_t
#define CONVOLUTION cudnnConvolutionDescriptor_t
#define STATUS cudnnStatus_t
#define KIND cudnnDataType_t
#define FORM cudnnTensorFormat_t
#define MODE cudnnConvolutionMode_t
#define MATH cudnnMathType_t
#define STREAM cudaStream_t
#define FWD cudnnConvolutionFwdAlgo_t
#define DATA cudnnConvolutionBwdDataAlgo_t
#define WEIGHT cudnnConvolutionBwdFilterAlgo_t
#define FWD_FOUND cudnnConvolutionFwdAlgoPerf_t
#define DATA_FOUND cudnnConvolutionBwdDataAlgoPerf_t
#define WEIGHT_FOUND cudnnConvolutionBwdFilterAlgoPerf_t
#define DONE CUDNN_STATUS_SUCCESS
#define BAD CUDNN_STATUS_BAD_PARAM
#else
typedef void *HANDLE, *TENSOR, *FILTER, *CONVOLUTION, *STREAM;
typedef int STATUS, KIND, FORM, MODE, MATH, FWD, DATA, WEIGHT;
struct Perf { int algo, status; float time; size_t memory; int determinism, mathType, reserved[3]; };
typedef Perf FWD_FOUND, DATA_FOUND, WEIGHT_FOUND;
enum { DONE = 0, BAD = 2000 };
#endif

struct Tensor { int kind, dims, size[8], step[8]; };
struct Conv { int dims, pad[4], stride[4], dilation[4], groups, math, kind; };

template <class Out> static STATUS give(Out* out, void* made) { *out = (Out)made; return DONE; }
static Tensor& tensor(const void* it) { return *(Tensor*)it; }
static Conv& conv(const void* it) { return *(Conv*)it; }

static double get(const Tensor& t, const void* there, ptrdiff_t at) { return get(t.kind, there, at); }
static void set(const Tensor& t, void* there, ptrdiff_t at, double value) { set(t.kind, there, at, value); }

// Calls body(input's place, weight's, output's) for all that meet: the sum over them is a convolution, any of its three.
template <class Body> static void meet(const Tensor& x, const Tensor& w, const Tensor& y, const Conv& c, Body body) {
    const int spatial = x.dims - 2, per_group = w.size[1], outs = w.size[0] / c.groups;
    int taps = 1, places = 1;
    for (int d = 0; d < spatial; d++) { taps *= w.size[2 + d]; places *= y.size[2 + d]; }
    for (int n = 0; n < x.size[0]; n++) for (int o = 0; o < w.size[0]; o++) for (int i = 0; i < per_group; i++)
        for (int place = 0; place < places; place++) for (int tap = 0; tap < taps; tap++) {
            ptrdiff_t at_x = (ptrdiff_t)n * x.step[0] + (ptrdiff_t)(o / outs * per_group + i) * x.step[1];
            ptrdiff_t at_w = (ptrdiff_t)o * w.step[0] + (ptrdiff_t)i * w.step[1];
            ptrdiff_t at_y = (ptrdiff_t)n * y.step[0] + (ptrdiff_t)o * y.step[1];
            int p = place, t = tap;
            bool inside = true;
            for (int d = spatial - 1; d >= 0; d--) {
                const int py = p % y.size[2 + d], pw = t % w.size[2 + d];
                p /= y.size[2 + d]; t /= w.size[2 + d];
                const int px = py * c.stride[d] - c.pad[d] + pw * c.dilation[d];
                inside &= px >= 0 && px < x.size[2 + d];
                at_x += (ptrdiff_t)px * x.step[2 + d]; at_w += (ptrdiff_t)pw * w.step[2 + d]; at_y += (ptrdiff_t)py * y.step[2 + d];
            }
            if (inside) body(at_x, at_w, at_y);
        }
}
static ptrdiff_t span(const Tensor& t) {
    ptrdiff_t last = 0;
    for (int d = 0; d < t.dims; d++) last += (ptrdiff_t)(t.size[d] - 1) * t.step[d];
    return last + 1;
}
static bool fits(const Tensor& x, const Tensor& w, const Tensor& y, const Conv& c) {
    if (x.dims != w.dims || x.dims != y.dims || c.dims != x.dims - 2 || x.size[0] != y.size[0]) return false;
    if (x.kind != w.kind || x.kind != y.kind || c.kind != (x.kind == 1)) return false;
    if (x.size[1] != w.size[1] * c.groups || y.size[1] != w.size[0] || w.size[0] % c.groups) return false;
    for (int d = 0; d < c.dims; d++) {
        const int reach = c.dilation[d] * (w.size[2 + d] - 1) + 1;
        if ((x.size[2 + d] + 2 * c.pad[d] - reach) / c.stride[d] + 1 != y.size[2 + d]) return false;
    }
    return true;
}
template <class Found> static STATUS found(bool fit, Found* all, int* count, int wanted) {
    if (!fit || wanted < 2) return BAD;
    memset(all, 0, 2 * sizeof(Found));
    all[0].memory = 0; *(int*)&all[0].algo = 0;  // not deterministic
    all[1].memory = 4096; *(int*)&all[1].algo = 1; *(int*)&all[1].determinism = 1;
    *(int*)&all[0].mathType = *(int*)&all[1].mathType = 0;
    *count = 2;
    return DONE;
}
static bool works(int algo, const void* room, size_t bytes) { return algo == 0 || (algo == 1 && room && bytes >= 4096); }

extern "C" {
size_t cudnnGetVersion(void) { return 92801; }
const char* cudnnGetErrorString(STATUS status) { return status == DONE ? "CUDNN_STATUS_SUCCESS" : "CUDNN_STATUS_BAD_PARAM"; }
STATUS cudnnCreate(HANDLE* out) { return give(out, new Handle{}); }
STATUS cudnnDestroy(HANDLE it) { return DONE; }
STATUS cudnnSetStream(HANDLE it, STREAM stream) {
    if (!it) return BAD;
    ((Handle*)it)->stream = (void*)stream;
    return DONE;
}
STATUS cudnnCreateTensorDescriptor(TENSOR* out) { return give(out, new Tensor()); }
STATUS cudnnCreateFilterDescriptor(FILTER* out) { return give(out, new Tensor()); }
STATUS cudnnCreateConvolutionDescriptor(CONVOLUTION* out) { return give(out, new Conv()); }
STATUS cudnnDestroyTensorDescriptor(TENSOR it) { delete &tensor(it); return DONE; }
STATUS cudnnDestroyFilterDescriptor(FILTER it) { delete &tensor(it); return DONE; }
STATUS cudnnDestroyConvolutionDescriptor(CONVOLUTION it) { delete &conv(it); return DONE; }

STATUS cudnnSetTensorNdDescriptor(TENSOR it, KIND kind, int dims, const int* size, const int* step) {
    if (dims < 3 || dims > 5) return BAD;  // states have three, and cuDNN's convolutions take no fewer than four
    Tensor& t = tensor(it);
    t.kind = kind; t.dims = dims;
    memcpy(t.size, size, dims * sizeof(int)); memcpy(t.step, step, dims * sizeof(int));
    return DONE;
}
STATUS cudnnGetTensorNdDescriptor(const TENSOR it, int wanted, KIND* kind, int* dims, int* size, int* step) {
    const Tensor& t = tensor(it);
    *kind = (KIND)t.kind; *dims = t.dims;
    memcpy(size, t.size, wanted * sizeof(int)); memcpy(step, t.step, wanted * sizeof(int));
    return DONE;
}
STATUS cudnnSetFilterNdDescriptor(FILTER it, KIND kind, FORM form, int dims, const int* size) {
    if (dims < 4 || dims > 5) return BAD;
    Tensor& t = tensor(it);
    t.kind = kind; t.dims = dims;
    memcpy(t.size, size, dims * sizeof(int));
    int step = 1;
    if ((int)form == 1) { t.step[1] = 1; step = size[1]; }
    for (int d = dims - 1; d >= 0; d--)
        if (!((int)form == 1 && d == 1)) { t.step[d] = step; step *= size[d]; }
    return DONE;
}
STATUS cudnnGetFilterNdDescriptor(const FILTER it, int wanted, KIND* kind, FORM* form, int* dims, int* size) {
    const Tensor& t = tensor(it);
    *kind = (KIND)t.kind; *form = (FORM)(t.step[1] == 1); *dims = t.dims;
    memcpy(size, t.size, wanted * sizeof(int));
    return DONE;
}
STATUS cudnnSetConvolutionNdDescriptor(CONVOLUTION it, int dims, const int* pad, const int* stride, const int* dilation, MODE mode, KIND kind) {
    if (dims < 2 || dims > 3 || (int)mode != 1) return BAD;
    Conv& c = conv(it);
    c.dims = dims; c.kind = kind; c.groups = 1;
    memcpy(c.pad, pad, dims * sizeof(int)); memcpy(c.stride, stride, dims * sizeof(int)); memcpy(c.dilation, dilation, dims * sizeof(int));
    return DONE;
}
STATUS cudnnSetConvolutionGroupCount(CONVOLUTION it, int groups) { conv(it).groups = groups; return DONE; }
STATUS cudnnGetConvolutionGroupCount(const CONVOLUTION it, int* groups) { *groups = conv(it).groups; return DONE; }
STATUS cudnnSetConvolutionMathType(CONVOLUTION it, MATH math) { conv(it).math = math; return DONE; }
STATUS cudnnGetConvolutionMathType(const CONVOLUTION it, MATH* math) { *math = (MATH)conv(it).math; return DONE; }
STATUS cudnnGetConvolutionNdForwardOutputDim(const CONVOLUTION c, const TENSOR x, const FILTER w, int dims, int* size) {
    size[0] = tensor(x).size[0]; size[1] = tensor(w).size[0];
    for (int d = 0; d < dims - 2; d++) {
        const int reach = conv(c).dilation[d] * (tensor(w).size[2 + d] - 1) + 1;
        size[2 + d] = (tensor(x).size[2 + d] + 2 * conv(c).pad[d] - reach) / conv(c).stride[d] + 1;
    }
    return DONE;
}

STATUS cudnnGetConvolutionForwardAlgorithm_v7(HANDLE, const TENSOR x, const FILTER w, const CONVOLUTION c, const TENSOR y, const int wanted, int* count, FWD_FOUND* all) {
    return found(fits(tensor(x), tensor(w), tensor(y), conv(c)), all, count, wanted);
}
STATUS cudnnGetConvolutionBackwardDataAlgorithm_v7(HANDLE, const FILTER w, const TENSOR y, const CONVOLUTION c, const TENSOR x, const int wanted, int* count, DATA_FOUND* all) {
    return found(fits(tensor(x), tensor(w), tensor(y), conv(c)), all, count, wanted);
}
STATUS cudnnGetConvolutionBackwardFilterAlgorithm_v7(HANDLE, const TENSOR x, const TENSOR y, const CONVOLUTION c, const FILTER w, const int wanted, int* count, WEIGHT_FOUND* all) {
    return found(fits(tensor(x), tensor(w), tensor(y), conv(c)), all, count, wanted);
}
STATUS cudnnFindConvolutionForwardAlgorithmEx(HANDLE, const TENSOR x, const void* px, const FILTER w, const void* pw, const CONVOLUTION c, const TENSOR y, void* py, const int wanted, int* count, FWD_FOUND* all, void* room, size_t bytes) {
    return found(px && pw && py && room && bytes && fits(tensor(x), tensor(w), tensor(y), conv(c)), all, count, wanted);
}
STATUS cudnnFindConvolutionBackwardDataAlgorithmEx(HANDLE, const FILTER w, const void* pw, const TENSOR y, const void* py, const CONVOLUTION c, const TENSOR x, void* px, const int wanted, int* count, DATA_FOUND* all, void* room, size_t bytes) {
    return found(px && pw && py && room && bytes && fits(tensor(x), tensor(w), tensor(y), conv(c)), all, count, wanted);
}
STATUS cudnnFindConvolutionBackwardFilterAlgorithmEx(HANDLE, const TENSOR x, const void* px, const TENSOR y, const void* py, const CONVOLUTION c, const FILTER w, void* pw, const int wanted, int* count, WEIGHT_FOUND* all, void* room, size_t bytes) {
    return found(px && pw && py && room && bytes && fits(tensor(x), tensor(w), tensor(y), conv(c)), all, count, wanted);
}

STATUS cudnnConvolutionForward(HANDLE handle, const void*, const TENSOR x, const void* px, const FILTER w, const void* pw, const CONVOLUTION c, FWD algo, void* room, size_t bytes, const void*, const TENSOR y, void* py) {
    if (!fits(tensor(x), tensor(w), tensor(y), conv(c)) || !works(algo, room, bytes)) return BAD;
    const Work work = [=, t_x = tensor(x), t_w = tensor(w), t_y = tensor(y), how = conv(c)] {
        std::vector<double> sum(span(t_y));
        meet(t_x, t_w, t_y, how, [&](ptrdiff_t i, ptrdiff_t k, ptrdiff_t o) { sum[o] += get(t_x, px, i) * get(t_w, pw, k); });
        for (size_t at = 0; at < sum.size(); at++) set(t_y, py, at, sum[at]);
    };
    return queued(((Handle*)handle)->stream, work) ? DONE : BAD;
}
STATUS cudnnConvolutionBackwardData(HANDLE handle, const void*, const FILTER w, const void* pw, const TENSOR y, const void* py, const CONVOLUTION c, DATA algo, void* room, size_t bytes, const void*, const TENSOR x, void* px) {
    if (!fits(tensor(x), tensor(w), tensor(y), conv(c)) || !works(algo, room, bytes)) return BAD;
    const Work work = [=, t_x = tensor(x), t_w = tensor(w), t_y = tensor(y), how = conv(c)] {
        std::vector<double> sum(span(t_x));
        meet(t_x, t_w, t_y, how, [&](ptrdiff_t i, ptrdiff_t k, ptrdiff_t o) { sum[i] += get(t_y, py, o) * get(t_w, pw, k); });
        for (size_t at = 0; at < sum.size(); at++) set(t_x, px, at, sum[at]);
    };
    return queued(((Handle*)handle)->stream, work) ? DONE : BAD;
}
STATUS cudnnConvolutionBackwardFilter(HANDLE handle, const void*, const TENSOR x, const void* px, const TENSOR y, const void* py, const CONVOLUTION c, WEIGHT algo, void* room, size_t bytes, const void*, const FILTER w, void* pw) {
    if (!fits(tensor(x), tensor(w), tensor(y), conv(c)) || !works(algo, room, bytes)) return BAD;
    const Work work = [=, t_x = tensor(x), t_w = tensor(w), t_y = tensor(y), how = conv(c)] {
        std::vector<double> sum(span(t_w));
        meet(t_x, t_w, t_y, how, [&](ptrdiff_t i, ptrdiff_t k, ptrdiff_t o) { sum[k] += get(t_y, py, o) * get(t_x, px, i); });
        for (size_t at = 0; at < sum.size(); at++) set(t_w, pw, at, sum[at]);
    };
    return queued(((Handle*)handle)->stream, work) ? DONE : BAD;
}
}

#include "cudnn_recurrent.h"
