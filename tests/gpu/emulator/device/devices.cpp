// Which devices there are (DISTRT_EMULATED_DEVICES, 1 by default), what they say of themselves, contexts, and errors.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device.h"

static const int CUDA = 13000;  // the version of CUDA that is answered
static const u32 CACHE = 50 << 20;

std::recursive_mutex device_lock;
static thread_local int device_now;
static thread_local cudaError_t last_error = cudaSuccess;

void say(const char* text) { fprintf(stderr, "emulated GPU: %s\n", text); }

cudaError_t told(cudaError_t error) {
    if (error) last_error = error;
    return error;
}

int current_device() { return device_now; }

int device_count() {
    static const char* said = getenv("DISTRT_EMULATED_DEVICES");
    return said ? atoi(said) : 1;
}

EXPORT cudaError_t cudaGetDevice(int* out) {
    *out = device_now;
    return cudaSuccess;
}
EXPORT cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= device_count()) return told(cudaErrorInvalidDevice);
    device_now = device;
    return cudaSuccess;
}
EXPORT cudaError_t cudaGetDeviceCount(int* out) {
    *out = device_count();
    return *out ? cudaSuccess : told(cudaErrorNoDevice);
}

EXPORT cudaError_t cudaDeviceGetAttribute(int* out, cudaDeviceAttr which, int) {
    switch ((int)which) {
        case cudaDevAttrComputeCapabilityMajor: *out = 9; break;
        case cudaDevAttrComputeCapabilityMinor: *out = 0; break;
        case cudaDevAttrMaxThreadsPerBlock: *out = MOST_THREADS; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *out = SHARED_BY_DEFAULT; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *out = SHARED_AT_MOST; break;
        case cudaDevAttrMultiProcessorCount: *out = MULTIPROCESSORS; break;
        case cudaDevAttrWarpSize: *out = WARP; break;
        case cudaDevAttrMaxThreadsPerMultiProcessor: *out = THREADS_OF_ONE; break;
        case cudaDevAttrMaxGridDimX: *out = MOST_BLOCKS_IN_X; break;
        case cudaDevAttrMaxGridDimY:
        case cudaDevAttrMaxGridDimZ: *out = MOST_BLOCKS_IN_Y; break;
        case cudaDevAttrMaxBlockDimX:
        case cudaDevAttrMaxBlockDimY: *out = MOST_THREADS; break;
        case cudaDevAttrMaxBlockDimZ: *out = MOST_THREADS_IN_Z; break;
        case cudaDevAttrL2CacheSize: *out = CACHE; break;
        case cudaDevAttrConcurrentKernels:
        case cudaDevAttrUnifiedAddressing: *out = 1; break;
        default: *out = 0;
    }
    return cudaSuccess;
}

EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device) {
    if (device < 0 || device >= device_count()) return told(cudaErrorInvalidDevice);
    *out = {};
    strcpy(out->name, "Emulated GPU");
    out->totalGlobalMem = total_memory();
    out->major = 9;
    out->multiProcessorCount = MULTIPROCESSORS;
    out->warpSize = WARP;
    out->maxThreadsPerBlock = MOST_THREADS;
    out->maxThreadsPerMultiProcessor = THREADS_OF_ONE;
    out->sharedMemPerBlock = SHARED_BY_DEFAULT;
    out->sharedMemPerBlockOptin = SHARED_AT_MOST;
    out->l2CacheSize = CACHE;
    out->regsPerBlock = 65536;
    out->maxGridSize[0] = MOST_BLOCKS_IN_X;
    out->maxGridSize[1] = out->maxGridSize[2] = MOST_BLOCKS_IN_Y;
    out->maxThreadsDim[0] = out->maxThreadsDim[1] = MOST_THREADS;
    out->maxThreadsDim[2] = MOST_THREADS_IN_Z;
    return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetPCIBusId(char* out, int size, int device) {
    snprintf(out, size, "0000:%02x:00.0", device + 1);
    return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetByPCIBusId(int* out, const char* name) {
    unsigned bus = 1;
    sscanf(name, "%*x:%x", &bus);
    *out = (int)bus - 1;
    return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceCanAccessPeer(int* out, int, int) {
    *out = 1;
    return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return cudaSuccess; }
EXPORT cudaError_t cudaDeviceDisablePeerAccess(int) { return cudaSuccess; }
EXPORT cudaError_t cudaDeviceGetLimit(size_t* out, cudaLimit) {
    *out = 0;
    return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
EXPORT cudaError_t cudaDriverGetVersion(int* out) {
    *out = CUDA;
    return cudaSuccess;
}
EXPORT cudaError_t cudaRuntimeGetVersion(int* out) { return cudaDriverGetVersion(out); }
EXPORT cudaError_t cudaProfilerStart() { return cudaSuccess; }
EXPORT cudaError_t cudaProfilerStop() { return cudaSuccess; }

// -- Errors

EXPORT cudaError_t cudaGetLastError() {
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}
EXPORT cudaError_t cudaPeekAtLastError() { return last_error; }

struct Named {
    int error;
    const char *name, *text;
};
static const Named NAMES[] = {
    {0, "cudaSuccess", "no error"},
    {1, "cudaErrorInvalidValue", "invalid argument"},
    {2, "cudaErrorMemoryAllocation", "out of memory"},
    {100, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {101, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {200, "cudaErrorInvalidKernelImage", "device kernel image is invalid"},
    {218, "cudaErrorInvalidPtx", "a PTX JIT compilation failed"},
    {500, "cudaErrorSymbolNotFound", "named symbol not found"},
    {600, "cudaErrorNotReady", "device not ready"},
    {700, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {702, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {716, "cudaErrorMisalignedAddress", "misaligned address"},
    {719, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {801, "cudaErrorNotSupported", "operation not supported"},
    {900, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"},
    {904, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {905, "cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"},
    {906, "cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"},
};
static Named named(int error) {
    for (const Named& each : NAMES)
        if (each.error == error) return each;
    return {error, "cudaErrorUnknown", "an error that the emulation has no words for"};
}
EXPORT const char* cudaGetErrorName(cudaError_t error) { return named(error).name; }
EXPORT const char* cudaGetErrorString(cudaError_t error) { return named(error).text; }
EXPORT CUresult cuGetErrorName(CUresult error, const char** out) {
    *out = named(error).name;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorString(CUresult error, const char** out) {
    *out = named(error).text;
    return CUDA_SUCCESS;
}

// -- Contexts: one for each device; a handle is its device's number, and never null.

static const u64 FIRST_CONTEXT = 16;
EXPORT CUresult cuCtxGetCurrent(CUcontext* out) {
    *out = (CUcontext)(FIRST_CONTEXT + device_now);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
    device_now = (int)((u64)context - FIRST_CONTEXT);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxGetDevice(CUdevice* out) {
    *out = device_now;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamGetCtx(CUstream, CUcontext* out) { return cuCtxGetCurrent(out); }
EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
// NVIDIA's own libraries ask for it first, and shall find no device.
EXPORT CUresult cuInit(unsigned) { return CUDA_ERROR_NO_DEVICE; }
