// Streams and events: work is done when it is queued, or when what is before it is (queues.h). A stream that is
// captured keeps its work instead, in a graph, together with the streams that wait for its events.

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <set>
#include <thread>
#include <vector>

#include "activity.h"
#include "queues.h"

struct Graph {
    std::vector<Work> works;
};
// Shared with the streams that have it to run still.
typedef std::shared_ptr<const Graph> Runnable;
struct Stream : Queue {
    u32 number = 7;  // a GPU's tools call the default stream so
    unsigned flags = 0;
    int priority = 0;
    Graph* graph = nullptr;     // while it is captured
    size_t works_captured = 0;  // of its own in the graph
    size_t works_waited = 0;    // of these, how many another stream of the capture waits for
};
struct Event {
    Graph* graph = nullptr;  // recorded in a capture
    Stream* stream = nullptr;
    size_t works = 0;
    std::shared_ptr<Mark> mark;  // null until it is recorded
};

static Stream& made_legacy() {
    auto* made = new Stream;
    made->is_legacy = true;
    made->is_blocking = false;
    know(*made);
    return *made;
}
static Stream& legacy = made_legacy();
static std::set<Stream*> streams;
static Stream* origin;  // of the one capture at a time
static cudaStreamCaptureMode mode;
static std::thread::id capturing_thread;

static Stream& stream_of(void* handle) {
    const bool is_legacy = !handle || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
    return is_legacy ? legacy : *(Stream*)handle;
}

static cudaError_t error_of_fault() {
    switch (fault_so_far()) {
        case Fault::NONE: return cudaSuccess;
        case Fault::MISALIGNED: return cudaErrorMisalignedAddress;
        case Fault::NOTHING_THERE: return cudaErrorIllegalAddress;
        case Fault::DEADLOCK: return cudaErrorLaunchTimeout;
        default: return cudaErrorLaunchFailure;
    }
}

bool is_idle() {
    static const char* said = getenv("DISTRT_EMULATED_IDLE");
    return said && *said == '1';
}
static std::atomic<long long> works_queued{0};
EXPORT long long emulated_works() { return works_queued; }

cudaError_t compute(void* stream, Work work) {
    works_queued++;
    return queue(stream, is_idle() ? [] {} : work);
}

cudaError_t queue(void* handle, Work work) {
    Stream& stream = stream_of(handle);
    {
        Locked locked(device_lock);
        if (stream.graph) {
            stream.graph->works.push_back(work);
            stream.works_captured++;
            return error_of_fault();
        }
        if (&stream == &legacy && origin && !(origin->flags & cudaStreamNonBlocking)) {
            complain("the default stream is used during a capture, for which it would have to wait");
            return cudaErrorStreamCaptureImplicit;
        }
    }
    do_in_order(stream, for_call(correlation_of_call(), work));
    return error_of_fault();
}

u32 number_of_stream(void* stream) { return stream_of(stream).number; }

void finish(void* stream) { wait_until_idle(stream_of(stream)); }

// A name for what a library has the device do: its file's.
static const char* library_of(void* address) {
    Dl_info own = {};
    dladdr(address, &own);
    const char* slash = own.dli_fname ? strrchr(own.dli_fname, '/') : nullptr;
    return slash ? slash + 1 : "a library";
}

// What takes its time, and needs no other thread's part of the device: 0 where it is well.
EXPORT int emulated_queue_by_thread(void* stream, const Work* work) {
    if (is_capturing(stream)) {
        complain("an exchange between ranks in a capture is not emulated");
        return cudaErrorStreamCaptureUnsupported;
    }
    Calling call("cudaLaunchKernel");
    const Activity kernel = {Act::KERNEL, library_of(__builtin_return_address(0))};
    do_by_thread(stream_of(stream), for_call(correlation_of_call(), told_of(kernel, stream, *work, false)));
    return 0;
}

// For the libraries: 0 where it is well.
EXPORT int emulated_queue(void* stream, const Work* work) {
    Calling call("cudaLaunchKernel");
    const Activity kernel = {Act::KERNEL, library_of(__builtin_return_address(0))};
    return compute(stream, told_of(kernel, stream, *work, is_capturing(stream)));
}

bool is_capturing(void* stream) { return stream_of(stream).graph; }

bool is_any_capturing() {
    if (!origin || mode == cudaStreamCaptureModeRelaxed) return false;
    return mode == cudaStreamCaptureModeGlobal || capturing_thread == std::this_thread::get_id();
}

static cudaError_t refused_in_capture(const char* what) {
    complain("%s in a capture", what);
    return told(cudaErrorStreamCaptureUnsupported);
}

EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int priority) {
    Locked locked(device_lock);
    auto* made = new Stream;
    made->number = 13 + streams.size();
    made->flags = flags;
    made->priority = priority;
    made->is_blocking = !(flags & cudaStreamNonBlocking);
    know(*made);
    streams.insert(made);
    *out = (cudaStream_t)made;
    return cudaSuccess;
}
EXPORT cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithPriority(out, 0, 0); }
EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
    return cudaStreamCreateWithPriority(out, flags, 0);
}
EXPORT cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* out) {
    *out = stream_of(handle).flags;
    return cudaSuccess;
}
EXPORT cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* out) {
    *out = stream_of(handle).priority;
    return cudaSuccess;
}
// Libraries may keep a stream that is gone, so its memory stays.
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    Calling call("cudaStreamSynchronize");
    if (is_capturing(handle)) return refused_in_capture("a stream is waited for");
    finish(handle);
    return told(error_of_fault());
}
EXPORT cudaError_t cudaStreamQuery(cudaStream_t handle) {
    if (is_capturing(handle)) return refused_in_capture("a stream is asked");
    return is_busy(stream_of(handle)) ? cudaErrorNotReady : told(error_of_fault());
}
EXPORT cudaError_t cudaDeviceSynchronize() {
    Calling call("cudaDeviceSynchronize");
    if (origin) return refused_in_capture("the device is waited for");
    wait_until_all_idle();
    return told(error_of_fault());
}

// What a stream calls on the host must not hold the device: it may wait for Python, whose thread may wait for that.
EXPORT cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t call, void* given) {
    if (is_capturing(stream)) return told(queue(stream, [=] { call(given); }));
    do_by_thread(stream_of(stream), [=] { call(given); });
    return cudaSuccess;
}
EXPORT cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t call, void* given, unsigned) {
    if (is_capturing(stream)) return refused_in_capture("a callback is added");
    do_by_thread(stream_of(stream), [=] { call(stream, cudaSuccess, given); });
    return cudaSuccess;
}

// -- Events

static double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
    *out = (cudaEvent_t) new Event;
    return cudaSuccess;
}
EXPORT cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, 0); }
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    delete (Event*)handle;
    return cudaSuccess;
}

EXPORT cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t by) {
    Stream& stream = stream_of(by);
    auto mark = std::make_shared<Mark>();
    *(Event*)handle = {stream.graph, &stream, stream.works_captured, mark};
    auto reach = [mark] {
        mark->milliseconds = now();
        mark->is_done = true;
    };
    if (stream.graph) reach();
    else do_in_order(stream, reach);
    return cudaSuccess;
}

EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t of, unsigned) {
    Stream& stream = stream_of(handle);
    const Event& event = *(Event*)of;
    const bool is_in_capture = event.graph && origin && event.graph == origin->graph;
    if (is_in_capture) {
        if (!stream.graph) stream.works_captured = stream.works_waited = 0;
        stream.graph = event.graph;
        if (event.stream != &stream) event.stream->works_waited = event.works;
    } else if (stream.graph && event.mark) {
        complain("a captured stream waits for an event of before the capture");
        return told(cudaErrorStreamCaptureIsolation);
    } else if (event.mark && !event.mark->is_done) {
        do_by_thread(stream, [mark = event.mark] { wait_for(mark); });
    }
    return cudaSuccess;
}

static bool is_captured(cudaEvent_t handle) {
    const Event& event = *(Event*)handle;
    return event.graph && origin && event.graph == origin->graph;
}
EXPORT cudaError_t cudaEventQuery(cudaEvent_t handle) {
    if (is_captured(handle)) return told(cudaErrorCapturedEvent);
    const Event& event = *(Event*)handle;
    return event.mark && !event.mark->is_done ? cudaErrorNotReady : told(error_of_fault());
}
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    if (is_captured(handle)) return told(cudaErrorCapturedEvent);
    if (auto mark = ((Event*)handle)->mark) wait_for(mark);
    return told(error_of_fault());
}
EXPORT cudaError_t cudaEventElapsedTime(float* out, cudaEvent_t from, cudaEvent_t to) {
    const Event &first = *(Event*)from, &second = *(Event*)to;
    if (!first.mark || !second.mark) return told(cudaErrorInvalidResourceHandle);
    if (!first.mark->is_done || !second.mark->is_done) return cudaErrorNotReady;
    *out = (float)(second.mark->milliseconds - first.mark->milliseconds);
    return cudaSuccess;
}

// -- Graphs

EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode wanted) {
    Locked locked(device_lock);
    Stream& stream = stream_of(handle);
    if (&stream == &legacy) return told(cudaErrorStreamCaptureUnsupported);
    if (stream.graph) return told(cudaErrorIllegalState);
    mode = wanted;
    capturing_thread = std::this_thread::get_id();
    stream.graph = new Graph;
    origin = &stream;
    return cudaSuccess;
}

EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* out) {
    Locked locked(device_lock);
    Stream& stream = stream_of(handle);
    Graph* graph = stream.graph;
    *out = nullptr;
    if (!graph) return told(cudaErrorIllegalState);
    if (&stream != origin) return told(cudaErrorStreamCaptureUnmatched);
    bool is_joined = true;
    for (Stream* each : streams) {
        if (each->graph != graph) continue;
        is_joined = is_joined && (each == &stream || each->works_waited >= each->works_captured);
        each->graph = nullptr;
    }
    origin = nullptr;
    if (!is_joined) {
        complain("a capture ends before a stream that it has forked is waited for");
        delete graph;
        return told(cudaErrorStreamCaptureUnjoined);
    }
    *out = (cudaGraph_t)graph;
    return cudaSuccess;
}

EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* out) {
    Locked locked(device_lock);
    *out = is_capturing(handle) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

#undef cudaGraphInstantiate
EXPORT cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
    *out = (cudaGraphExec_t) new Runnable(new Graph(*(Graph*)graph));
    return cudaSuccess;
}
EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream) {
    Calling call("cudaGraphLaunch");
    const Runnable graph = *(Runnable*)handle;
    return told(queue(stream, [=] {
        for (auto& work : graph->works) work();
    }));
}
EXPORT cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete (Graph*)graph;
    return cudaSuccess;
}
EXPORT cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete (Runnable*)graph;
    return cudaSuccess;
}
