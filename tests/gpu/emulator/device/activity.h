// What is called and what is done, for whoever records it, as the emulated CUPTI does.

#pragma once

#include "device.h"

enum class Act { CALL, KERNEL, COPY, SET };

struct Activity {
    Act act;
    const char* name;      // of a function or a kernel, which stays where it is
    u32 correlation = 0;   // of the call that it belongs to
    u64 start = 0, end = 0;  // nanoseconds since 1970
    int device = 0;
    u32 stream = 0, thread = 0;
    Shape grid = {}, block = {};
    u32 static_shared = 0, dynamic_shared = 0;
    size_t bytes = 0;
    int way = 0;  // cudaMemcpyKind
    bool is_from_paged = false, is_to_paged = false;
    u64 node = 0;  // of a graph
};

typedef void (*ActivityRecorder)(const Activity&);
// Null for nobody.
EXPORT void emulated_record(ActivityRecorder recorder);

// A function of CUDA's is being called in this thread; within another call it is part of that.
class Calling {
  public:
    explicit Calling(const char* name);
    ~Calling();

  private:
    Activity own;
    bool is_outermost;
};
u32 correlation_of_call();

// The work is done for a call: at once, or for a later launch of the graph that it is in.
Work for_call(u32 correlation, Work work);
// The same work, which is told when it is done.
Work told_of(Activity activity, void* stream, Work work, bool is_in_graph);

u32 number_of_stream(void* stream);
