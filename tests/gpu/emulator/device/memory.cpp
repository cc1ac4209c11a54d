// Memory: the process's own, known by its addresses. With DISTRT_EMULATED_GUARD each allocation ends at a page that
// nobody may touch, and begins behind another.

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <sys/mman.h>

#include "activity.h"

static const size_t PAGE = 4096, ALIGNMENT = 512;
// With guards: so that an allocation ends near the page, and vectors of four floats are aligned still.
static const size_t GUARDED_ALIGNMENT = 16;
// What nobody wrote: NaN in every dtype of floats.
static const int UNWRITTEN = 0xff;

static std::map<const char*, Allocation> allocations;
static std::map<int, size_t> used;

static bool has_guards() {
    static const char* said = getenv("DISTRT_EMULATED_GUARD");
    return said && strcmp(said, "0");
}

static size_t up_to(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

static char* guarded(size_t size, Allocation& made) {
    const size_t room = up_to(size, PAGE);
    made.mapped_size = room + 2 * PAGE;
    void* mapped = mmap(nullptr, made.mapped_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    made.mapped = (char*)mapped;
    mprotect(made.mapped + PAGE, room, PROT_READ | PROT_WRITE);
    memset(made.mapped + PAGE, UNWRITTEN, room);
    return made.mapped + PAGE + room - up_to(size, GUARDED_ALIGNMENT);
}

static cudaError_t allocate(void** out, size_t size, bool is_host) {
    Locked locked(device_lock);
    *out = nullptr;
    const int device = current_device();
    if (!is_host && used[device] + size > total_memory()) return told(cudaErrorMemoryAllocation);
    if (!size) return cudaSuccess;
    Allocation made = {size, device, is_host, nullptr, 0};
    char* begin = has_guards() ? guarded(size, made) : (char*)aligned_alloc(ALIGNMENT, up_to(size, ALIGNMENT));
    if (!begin) return told(cudaErrorMemoryAllocation);
    if (!made.mapped && !is_idle()) memset(begin, UNWRITTEN, size);
    allocations[begin] = made;
    if (!is_host) used[device] += size;
    *out = begin;
    return cudaSuccess;
}

// Between an allocation's end and the page lie up to 15 bytes, which nothing but a kernel's error writes.
static void look_behind(const char* begin, const Allocation& given) {
    for (size_t n = given.size; n < up_to(given.size, GUARDED_ALIGNMENT); n++)
        if ((unsigned char)begin[n] != UNWRITTEN)
            complain("byte %zu of an allocation of %zu has been written", n, given.size);
}

static cudaError_t release(void* begin) {
    Locked locked(device_lock);
    if (!begin) return cudaSuccess;
    auto found = allocations.find((char*)begin);
    if (found == allocations.end()) return told(cudaErrorInvalidValue);
    const Allocation& given = found->second;
    if (!given.is_host) used[given.device] -= given.size;
    if (given.mapped) {
        look_behind((char*)begin, given);
        munmap(given.mapped, given.mapped_size);
    } else {
        free(begin);
    }
    allocations.erase(found);
    return cudaSuccess;
}

const Allocation* allocation_before(const void* address, const char** begin) {
    auto next = allocations.upper_bound((const char*)address);
    if (next == allocations.begin()) return nullptr;
    --next;
    *begin = next->first;
    return &next->second;
}

std::string described(const void* address) {
    const char* begin;
    const Allocation* before = allocation_before(address, &begin);
    if (!before) return "";
    const std::string far = std::to_string((const char*)address - begin);
    return ", " + far + " bytes behind the begin of " + std::to_string(before->size);
}

const Allocation* allocation_of(const void* address) {
    const char* begin;
    const Allocation* found = allocation_before(address, &begin);
    return found && (const char*)address < begin + found->size ? found : nullptr;
}

// Whether so many bytes are in one allocation of a GPU's memory.
static bool is_on_gpu(const void* address, size_t size) {
    const char* begin;
    const Allocation* found = allocation_before(address, &begin);
    return found && !found->is_host && (const char*)address + size <= begin + found->size;
}

static bool is_of_host(const void* address) {
    const Allocation* found = allocation_of(address);
    return !found || found->is_host;
}

static cudaError_t copy(void* to, const void* from, size_t size, cudaMemcpyKind kind, void* stream) {
    Activity activity = {Act::COPY, nullptr};
    activity.bytes = size;
    activity.way = kind;
    bool is_work;  // of the GPU's alone
    {
        Locked locked(device_lock);
        const bool goes_down = kind == cudaMemcpyDeviceToHost, goes_up = kind == cudaMemcpyHostToDevice;
        const bool fits = kind == cudaMemcpyDefault ||
                          ((kind == cudaMemcpyHostToHost || goes_down ? is_of_host(to) : is_on_gpu(to, size)) &&
                           (kind == cudaMemcpyHostToHost || goes_up ? is_of_host(from) : is_on_gpu(from, size)));
        if (size && !fits) {
            complain("a copy of %zu bytes, of kind %d, from or to memory that is not of that kind", size, kind);
            return told(cudaErrorInvalidValue);
        }
        const void* host = goes_up ? from : goes_down ? to : nullptr;
        if (is_capturing(stream) && host && !allocation_of(host)) {
            complain("a copy between the GPU and memory that is not page-locked, in a capture");
            return told(cudaErrorStreamCaptureUnsupported);
        }
        activity.is_from_paged = !allocation_of(from);
        activity.is_to_paged = !allocation_of(to);
        is_work = !is_of_host(to) && !is_of_host(from);
    }
    const bool is_captured = is_capturing(stream);
    const auto give = is_work ? compute : queue;
    const auto queued = [&](Work work) { return give(stream, told_of(activity, stream, work, is_captured)); };
    // Memory that is not page-locked is the program's again when the call returns.
    if (activity.is_from_paged && !is_captured) {
        const auto kept = std::make_shared<std::vector<char>>((const char*)from, (const char*)from + size);
        return told(queued([=] { memmove(to, kept->data(), size); }));
    }
    const cudaError_t found = queued([=] { memmove(to, from, size); });
    if (activity.is_to_paged && !is_captured) finish(stream);
    return told(found);
}

static cudaError_t allocate_on_gpu(void** out, size_t size) {
    if (is_any_capturing()) {
        complain("cudaMalloc in a capture");
        return told(cudaErrorStreamCaptureUnsupported);
    }
    return allocate(out, size, false);
}

EXPORT cudaError_t cudaMalloc(void** out, size_t size) {
    Calling call("cudaMalloc");
    return allocate_on_gpu(out, size);
}
EXPORT cudaError_t cudaMallocManaged(void** out, size_t size, unsigned) { return allocate(out, size, false); }
EXPORT cudaError_t cudaMallocAsync(void** out, size_t size, cudaStream_t) { return allocate(out, size, false); }
EXPORT cudaError_t cudaMallocFromPoolAsync(void** out, size_t size, cudaMemPool_t, cudaStream_t) {
    return allocate(out, size, false);
}
EXPORT cudaError_t cudaHostAlloc(void** out, size_t size, unsigned) { return allocate(out, size, true); }
EXPORT cudaError_t cudaHostRegister(void*, size_t, unsigned) { return cudaSuccess; }
EXPORT cudaError_t cudaHostUnregister(void*) { return cudaSuccess; }
EXPORT cudaError_t cudaFree(void* begin) {
    wait_until_all_idle();
    return release(begin);
}
EXPORT cudaError_t cudaFreeHost(void* begin) { return release(begin); }
EXPORT cudaError_t cudaFreeAsync(void* begin, cudaStream_t stream) {
    return told(queue(stream, [=] { release(begin); }));
}

EXPORT cudaError_t cudaMemGetInfo(size_t* left, size_t* total) {
    Locked locked(device_lock);
    *total = total_memory();
    *left = total_memory() - used[current_device()];
    return cudaSuccess;
}

EXPORT cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
    Calling call("cudaMemcpy");
    const cudaError_t found = copy(to, from, size, kind, nullptr);
    finish(nullptr);
    return found;
}
EXPORT cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    Calling call("cudaMemcpyAsync");
    return copy(to, from, size, kind, stream);
}
EXPORT cudaError_t cudaMemcpyPeer(void* to, int, const void* from, int, size_t size) {
    Calling call("cudaMemcpyPeer");
    return copy(to, from, size, cudaMemcpyDeviceToDevice, nullptr);
}
EXPORT cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, cudaStream_t stream) {
    Calling call("cudaMemcpyPeerAsync");
    return copy(to, from, size, cudaMemcpyDeviceToDevice, stream);
}
EXPORT cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                     size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
    Calling call("cudaMemcpy2DAsync");
    Activity activity = {Act::COPY, nullptr};
    activity.bytes = width * height;
    activity.way = kind;
    const Work work = [=] {
        for (size_t n = 0; n < height; n++)
            memmove((char*)to + n * to_pitch, (const char*)from + n * from_pitch, width);
    };
    return told(compute(stream, told_of(activity, stream, work, is_capturing(stream))));
}
EXPORT cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                size_t height, cudaMemcpyKind kind) {
    const cudaError_t found = cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, height, kind, nullptr);
    finish(nullptr);
    return found;
}

EXPORT cudaError_t cudaMemsetAsync(void* begin, int value, size_t size, cudaStream_t stream) {
    Calling call("cudaMemsetAsync");
    {
        Locked locked(device_lock);
        if (size && !is_on_gpu(begin, size)) {
            complain("%zu bytes are set that are not in one allocation of the GPU", size);
            return told(cudaErrorInvalidValue);
        }
    }
    Activity activity = {Act::SET, nullptr};
    activity.bytes = size;
    const Work work = [=] { memset(begin, value, size); };
    return told(compute(stream, told_of(activity, stream, work, is_capturing(stream))));
}
EXPORT cudaError_t cudaMemset(void* begin, int value, size_t size) {
    return cudaMemsetAsync(begin, value, size, nullptr);
}

EXPORT cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* address) {
    Locked locked(device_lock);
    const Allocation* found = allocation_of(address);
    *out = {};
    out->type = !found ? cudaMemoryTypeUnregistered : found->is_host ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    out->device = found ? found->device : -1;
    out->devicePointer = (void*)address;
    return cudaSuccess;
}

// The driver's: where the allocation begins that an address is in.
EXPORT CUresult cuMemGetAddressRange(CUdeviceptr* begin, size_t* size, CUdeviceptr address) {
    Locked locked(device_lock);
    const char* first;
    const Allocation* found = allocation_before((const void*)address, &first);
    if (!found || (const char*)address >= first + found->size) return CUDA_ERROR_INVALID_VALUE;
    *begin = (CUdeviceptr)first;
    *size = found->size;
    return CUDA_SUCCESS;
}

static int the_pool;
EXPORT cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* out, int) {
    *out = (cudaMemPool_t)&the_pool;
    return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* out, int device) { return cudaDeviceGetDefaultMemPool(out, device); }
