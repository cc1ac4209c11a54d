// CUPTI's activities, in the structures of NVIDIA's own headers: what the device tells is kept until it is flushed, and
// then written into the buffers that the program gives, by a thread of its own, as a GPU's may be.

#include <cupti.h>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "../device/activity.h"
#include "cupti_names.h"

struct Kept {
    Activity activity;
    bool is_linked = false;
    uint64_t link = 0;
};

static std::mutex& lock = *new std::mutex;
static std::vector<Kept>& kept = *new std::vector<Kept>;
static std::set<int>& enabled = *new std::set<int>;
static thread_local std::vector<uint64_t> pushed;
static CUpti_BuffersCallbackRequestFunc request;
static CUpti_BuffersCallbackCompleteFunc complete;

static int kind_of(const Activity& activity) {
    switch (activity.act) {
        case Act::CALL: return is_of_driver(activity.name) ? CUPTI_ACTIVITY_KIND_DRIVER : CUPTI_ACTIVITY_KIND_RUNTIME;
        case Act::KERNEL: return CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
        case Act::COPY: return CUPTI_ACTIVITY_KIND_MEMCPY;
        default: return CUPTI_ACTIVITY_KIND_MEMSET;
    }
}

static void record(const Activity& activity) {
    std::lock_guard<std::mutex> held(lock);
    if (!enabled.count(kind_of(activity))) return;
    Kept made = {activity};
    if (activity.act == Act::CALL && !pushed.empty() && enabled.count(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION)) {
        made.is_linked = true;
        made.link = pushed.back();
    }
    kept.push_back(made);
}

// -- Records

static CUpti_ActivityAPI call_of(const Activity& from) {
    CUpti_ActivityAPI made = {};
    made.kind = (CUpti_ActivityKind)kind_of(from);
    made.cbid = number_of_call(from.name);
    made.start = from.start;
    made.end = from.end;
    made.threadId = from.thread;
    made.correlationId = from.correlation;
    return made;
}

// What a GPU has done, with what all such records tell.
template <typename Record> static Record work_of(const Activity& from) {
    Record made = {};
    made.kind = (CUpti_ActivityKind)kind_of(from);
    made.start = from.start;
    made.end = from.end;
    made.deviceId = from.device;
    made.contextId = 1;
    made.streamId = from.stream;
    made.correlationId = from.correlation;
    made.graphNodeId = from.node;
    made.graphId = from.node ? 1 : 0;
    return made;
}

static CUpti_ActivityKernel13 kernel_of(const Activity& from) {
    CUpti_ActivityKernel13 made = work_of<CUpti_ActivityKernel13>(from);
    made.registersPerThread = 32;
    made.gridX = from.grid.x, made.gridY = from.grid.y, made.gridZ = from.grid.z;
    made.blockX = from.block.x, made.blockY = from.block.y, made.blockZ = from.block.z;
    made.staticSharedMemory = from.static_shared;
    made.dynamicSharedMemory = from.dynamic_shared;
    made.name = from.name;
    return made;
}

static CUpti_ActivityMemcpy7 copy_of(const Activity& from) {
    static const int WAYS[] = {CUPTI_ACTIVITY_MEMCPY_KIND_HTOH, CUPTI_ACTIVITY_MEMCPY_KIND_HTOD,
                               CUPTI_ACTIVITY_MEMCPY_KIND_DTOH, CUPTI_ACTIVITY_MEMCPY_KIND_DTOD,
                               CUPTI_ACTIVITY_MEMCPY_KIND_DTOD};
    const bool is_up = from.way == cudaMemcpyHostToDevice, is_down = from.way == cudaMemcpyDeviceToHost;
    const auto host = [](bool is_paged) {
        return is_paged ? CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE : CUPTI_ACTIVITY_MEMORY_KIND_PINNED;
    };
    CUpti_ActivityMemcpy7 made = work_of<CUpti_ActivityMemcpy7>(from);
    made.copyKind = WAYS[from.way];
    made.srcKind = is_up ? host(from.is_from_paged) : CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
    made.dstKind = is_down ? host(from.is_to_paged) : CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
    made.bytes = from.bytes;
    return made;
}

static CUpti_ActivityMemset5 setting_of(const Activity& from) {
    CUpti_ActivityMemset5 made = work_of<CUpti_ActivityMemset5>(from);
    made.bytes = from.bytes;
    made.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
    return made;
}

static CUpti_ActivityExternalCorrelation link_of(const Kept& from) {
    CUpti_ActivityExternalCorrelation made = {};
    made.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
    made.externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0;
    made.externalId = from.link;
    made.correlationId = from.activity.correlation;
    return made;
}

static size_t size_of(int kind) {
    switch (kind) {
        case CUPTI_ACTIVITY_KIND_DRIVER:
        case CUPTI_ACTIVITY_KIND_RUNTIME: return sizeof(CUpti_ActivityAPI);
        case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: return sizeof(CUpti_ActivityKernel13);
        case CUPTI_ACTIVITY_KIND_MEMCPY: return sizeof(CUpti_ActivityMemcpy7);
        case CUPTI_ACTIVITY_KIND_MEMSET: return sizeof(CUpti_ActivityMemset5);
        default: return sizeof(CUpti_ActivityExternalCorrelation);
    }
}

// -- Buffers

class Writer {
  public:
    template <typename Record> void write(const Record& record) {
        if (buffer && used + sizeof record > size) hand_back();
        if (!buffer) {
            size_t most = 0;
            request(&buffer, &size, &most);
            if (!buffer) return;
        }
        memcpy(buffer + used, &record, sizeof record);
        used += sizeof record;
    }
    void hand_back() {
        if (buffer) complete(nullptr, 0, buffer, size, used);
        buffer = nullptr;
        used = 0;
    }

  private:
    uint8_t* buffer = nullptr;
    size_t size = 0, used = 0;
};

static void deliver(const std::vector<Kept>& all) {
    Writer writer;
    for (const Kept& each : all) {
        if (each.is_linked) writer.write(link_of(each));
        switch (each.activity.act) {
            case Act::CALL: writer.write(call_of(each.activity)); break;
            case Act::KERNEL: writer.write(kernel_of(each.activity)); break;
            case Act::COPY: writer.write(copy_of(each.activity)); break;
            case Act::SET: writer.write(setting_of(each.activity)); break;
        }
    }
    writer.hand_back();
}

EXPORT CUptiResult cuptiActivityFlushAll(uint32_t) {
    std::vector<Kept> all;
    {
        std::lock_guard<std::mutex> held(lock);
        all.swap(kept);
    }
    if (all.empty()) return CUPTI_SUCCESS;
    if (!request) return CUPTI_ERROR_INVALID_OPERATION;
    std::thread(deliver, std::cref(all)).join();
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiActivityGetNextRecord(uint8_t* buffer, size_t valid, CUpti_Activity** record) {
    uint8_t* next = *record ? (uint8_t*)*record + size_of((*record)->kind) : buffer;
    if (next >= buffer + valid) return CUPTI_ERROR_MAX_LIMIT_REACHED;
    *record = (CUpti_Activity*)next;
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext, uint32_t, size_t* dropped) {
    *dropped = 0;
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc requested,
                                                  CUpti_BuffersCallbackCompleteFunc completed) {
    request = requested;
    complete = completed;
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
    std::lock_guard<std::mutex> held(lock);
    enabled.insert(kind);
    emulated_record(record);
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
    std::lock_guard<std::mutex> held(lock);
    enabled.erase(kind);
    if (enabled.empty()) emulated_record(nullptr);
    return CUPTI_SUCCESS;
}

// How many kinds are recorded, for checks.
EXPORT int emulated_kinds_recorded() {
    std::lock_guard<std::mutex> held(lock);
    return enabled.size();
}

EXPORT CUptiResult cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind, uint64_t id) {
    pushed.push_back(id);
    return CUPTI_SUCCESS;
}

EXPORT CUptiResult cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind, uint64_t* last) {
    if (pushed.empty()) return CUPTI_ERROR_QUEUE_EMPTY;
    if (last) *last = pushed.back();
    pushed.pop_back();
    return CUPTI_SUCCESS;
}
