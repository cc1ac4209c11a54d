// What CUPTI says of itself, its clock, and who listens to it: one at a time.

#include <cupti.h>
#include <cstring>
#include <ctime>

#include "../device/device.h"
#include "cupti_names.h"

struct Named {
    const char *name, *cuptis;
    unsigned number;
};
#define OF_RUNTIME(name, version) {#name, #name "_" #version, (unsigned)CUPTI_RUNTIME_TRACE_CBID_##name##_##version}
static const Named RUNTIMES[] = {
    OF_RUNTIME(cudaLaunchKernel, v7000),      OF_RUNTIME(cudaGraphLaunch, v10000),
    OF_RUNTIME(cudaMalloc, v3020),            OF_RUNTIME(cudaMemcpy, v3020),
    OF_RUNTIME(cudaMemcpyAsync, v3020),       OF_RUNTIME(cudaMemcpyPeer, v4000),
    OF_RUNTIME(cudaMemcpyPeerAsync, v4000),   OF_RUNTIME(cudaMemcpy2DAsync, v3020),
    OF_RUNTIME(cudaMemsetAsync, v3020),       OF_RUNTIME(cudaStreamSynchronize, v3020),
    OF_RUNTIME(cudaDeviceSynchronize, v3020),
};
static const Named DRIVERS[] = {{"cuLaunchKernel", "cuLaunchKernel", (unsigned)CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel}};

bool is_of_driver(const char* name) { return !strncmp(name, "cu", 2) && strncmp(name, "cuda", 4); }

unsigned number_of_call(const char* name) {
    for (const Named& each : RUNTIMES)
        if (!strcmp(each.name, name)) return each.number;
    for (const Named& each : DRIVERS)
        if (!strcmp(each.name, name)) return each.number;
    return 0;
}

EXPORT CUptiResult cuptiGetCallbackName(CUpti_CallbackDomain domain, uint32_t number, const char** name) {
    const bool is_driver = domain == CUPTI_CB_DOMAIN_DRIVER_API;
    for (const Named& each : RUNTIMES)
        if (!is_driver && each.number == number) return *name = each.cuptis, CUPTI_SUCCESS;
    for (const Named& each : DRIVERS)
        if (is_driver && each.number == number) return *name = each.cuptis, CUPTI_SUCCESS;
    return CUPTI_ERROR_INVALID_PARAMETER;
}

EXPORT CUptiResult cuptiGetVersion(uint32_t* version) {
    *version = CUPTI_API_VERSION;
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiGetTimestamp(uint64_t* time) {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *time = now.tv_sec * 1000000000ull + now.tv_nsec;
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiSetThreadIdType(CUpti_ActivityThreadIdType) { return CUPTI_SUCCESS; }

EXPORT CUptiResult cuptiGetResultString(CUptiResult status, const char** text) {
    switch (status) {
        case CUPTI_SUCCESS: *text = "CUPTI_SUCCESS"; break;
        case CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED:
            *text = "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED";
            break;
        default: *text = "CUPTI_ERROR_UNKNOWN";
    }
    return CUPTI_SUCCESS;
}

static int the_subscriber;
static bool is_taken;
EXPORT CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* out, CUpti_CallbackFunc, void*) {
    if (is_taken) return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
    is_taken = true;
    *out = (CUpti_SubscriberHandle)&the_subscriber;
    return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle) {
    is_taken = false;
    return CUPTI_SUCCESS;
}
