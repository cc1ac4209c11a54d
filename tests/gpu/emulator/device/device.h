// What the files of the device share: one lock, streams that run or record, memory by its address, and faults.

#pragma once

#include <cuda.h>
#include <cuda_runtime.h>
#include <functional>
#include <mutex>

#include "blocks.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

typedef std::function<void()> Work;

// One thread of the process has the device at a time.
extern std::recursive_mutex device_lock;
typedef std::lock_guard<std::recursive_mutex> Locked;

// Keeps an error for cudaGetLastError, and gives it back.
cudaError_t told(cudaError_t error);

int current_device();
int device_count();
// What a device says of itself, and what launches and allocations are checked against.
const u32 MULTIPROCESSORS = 132, THREADS_OF_ONE = 2048, WARP = 32;
const u32 MOST_THREADS = 1024, MOST_THREADS_IN_Z = 64, MOST_BLOCKS_IN_X = 2147483647, MOST_BLOCKS_IN_Y = 65535;
const u32 SHARED_BY_DEFAULT = 48 << 10, SHARED_AT_MOST = 227 << 10;

// Does the work, or has it done behind what is before it, or records it where the stream is being captured.
cudaError_t queue(void* stream, Work work);
// Whether the device computes nothing, so that what a program itself takes for a step can be measured.
bool is_idle();
// Idle, nothing is written to most of it.
inline size_t total_memory() { return (is_idle() ? 128ull : 4ull) << 30; }
// The same as queue, for what an idle device leaves out.
cudaError_t compute(void* stream, Work work);
// Waits until a stream, or every one, has nothing left to do.
void finish(void* stream);
void wait_until_all_idle();
// Whether something captures a stream, so that what is not recorded is refused.
bool is_capturing(void* stream);
bool is_any_capturing();

struct Allocation {
    size_t size;
    int device;
    bool is_host;
    char* mapped;  // with guards: all pages, those around it included
    size_t mapped_size;
};
// The allocation that an address is in, or null.
const Allocation* allocation_of(const void* address);
// The last one that begins at an address or before it, or null, and where it begins.
const Allocation* allocation_before(const void* address, const char** begin);
