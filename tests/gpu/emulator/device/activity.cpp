#include "activity.h"

#include <atomic>
#include <ctime>
#include <sys/syscall.h>
#include <unistd.h>

static std::atomic<ActivityRecorder> recorder{nullptr};
static std::atomic<u32> calls{0};
static std::atomic<u64> nodes{0};
static thread_local u32 calling;  // 0 outside of calls
static thread_local u32 doing_for;

static u64 now() {
    timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

EXPORT void emulated_record(ActivityRecorder wanted) { recorder = wanted; }

u32 correlation_of_call() { return calling; }

Calling::Calling(const char* name) : own{Act::CALL, name}, is_outermost(!calling) {
    if (!is_outermost) return;
    own.correlation = calling = ++calls;
    own.start = now();
}

Calling::~Calling() {
    if (!is_outermost) return;
    calling = 0;
    ActivityRecorder record = recorder;
    if (!record) return;
    own.end = now();
    own.thread = syscall(SYS_gettid);
    record(own);
}

Work for_call(u32 correlation, Work work) {
    return [=] {
        const u32 before = doing_for;
        doing_for = correlation;
        work();
        doing_for = before;
    };
}

Work told_of(Activity activity, void* stream, Work work, bool is_in_graph) {
    activity.device = current_device();
    activity.stream = number_of_stream(stream);
    if (is_in_graph) activity.node = ++nodes;
    return [=] {
        Activity done = activity;
        done.start = now();
        work();
        done.end = now();
        done.correlation = doing_for;
        if (ActivityRecorder record = recorder) record(done);
    };
}
