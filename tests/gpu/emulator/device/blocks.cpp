// Runs kernels: a block's threads are fibres that take turns at barriers. What a GPU would do wrong or for ever is a
// fault: an address that is not aligned, or where nothing is; a barrier that some threads never reach.

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "../../fibres.h"
#include "blocks.h"

enum State { READY, AT_BARRIER, AT_WARP, DONE };

// Named barriers of a block.
static const u32 BARRIERS = 16;

// A copy that arrives when its group is waited for, and not before: who does not wait finds what was there.
struct Copy {
    u8* to;
    const u8* from;
    u32 bytes, read, group;
};
struct Fiber {
    Thread thread;  // first, so that a thread is its fibre
    State state;
    u32 mask, barrier, count, vote, group;
    std::vector<Copy> copies;
};
static std::vector<Fiber> threads;
static u32 thread_count;
static const Kernel* kernel_now;
static u8* given_now;
static bool is_running;  // a fibre has its turn
static Fault fault = Fault::NONE;

void complain(const char* format, ...) {
    char text[500];
    va_list given;
    va_start(given, format);
    vsnprintf(text, sizeof text, format, given);
    va_end(given);
    say(text);
}

Fault fault_so_far() { return fault; }
void forget_fault() { fault = Fault::NONE; }

std::vector<u8> parameters_of(const KernelInfo& info, void** arguments) {
    const u32* last = info.places + 2 * info.parameters;
    std::vector<u8> given(info.parameters ? last[-2] + last[-1] + 16 : 16);
    for (u32 n = 0; n < info.parameters; n++) {
        const u32 *place = info.places + 2 * n, size = place[1];
        memcpy(given.data() + *place, arguments[n], size);
    }
    return given;
}

static Fiber& fiber(Thread* thread) { return *(Fiber*)thread; }

static void wait_at(Fiber& own, State state) {
    own.state = state;
    fibres::wait();
}

static void leave(Thread* thread) { wait_at(fiber(thread), DONE); }

static void stop(Fault kind, const Thread& thread, const std::string& what) {
    if (fault == Fault::NONE)
        complain("%s, in kernel %s, block %u,%u,%u, thread %u,%u,%u", what.c_str(), kernel_now->name, thread.ctaid[0],
                 thread.ctaid[1], thread.ctaid[2], thread.tid[0], thread.tid[1], thread.tid[2]);
    fault = kind;
}

static void end_by_fault(Thread* thread, const char* what) {
    const bool is_off = !strcmp(what, "misaligned address"), is_beyond = !strncmp(what, "address", 7);
    stop(is_off ? Fault::MISALIGNED : is_beyond ? Fault::NOTHING_THERE : Fault::FAILED, *thread, what);
    leave(thread);
}

static void meet_block(Thread* thread, u32 barrier, u32 count) {
    Fiber& own = fiber(thread);
    own.barrier = barrier % BARRIERS;
    own.count = count;
    wait_at(own, AT_BARRIER);
}

static void meet_warp(Thread* thread, u32 mask) {
    Fiber& own = fiber(thread);
    own.mask = mask;
    wait_at(own, AT_WARP);
}

static u32 active(Thread* thread) {
    const u32 first = thread->warp * 32;
    u32 found = 0;
    for (u32 n = 0; n < 32 && first + n < thread_count; n++) found |= (u32)(threads[first + n].state != DONE) << n;
    return found;
}

static u32 counted(Thread* thread, u32 barrier, u32 vote, char how) {
    fiber(thread).vote = vote;
    meet_block(thread, barrier, 0);
    u32 votes = 0, all = 0;
    for (u32 n = 0; n < thread_count; n++) {
        if (threads[n].state == DONE) continue;
        votes += threads[n].vote;
        all++;
    }
    meet_block(thread, barrier, 0);  // nobody votes again before all have counted
    return how == 'p' ? votes : how == 'a' ? votes == all : votes != 0;
}

static void copy_later(Thread* thread, u8* to, const u8* from, u32 bytes, u32 read) {
    Fiber& own = fiber(thread);
    own.copies.push_back({to, from, bytes, read, own.group});
}

static void end_copies(Thread* thread) { fiber(thread).group++; }

static void wait_for_copies(Thread* thread, u32 left) {
    Fiber& own = fiber(thread);
    size_t done = 0;
    for (; done < own.copies.size() && own.copies[done].group + left < own.group; done++) {
        const Copy& each = own.copies[done];
        memset(each.to, 0, each.bytes);
        memcpy(each.to, each.from, each.read < each.bytes ? each.read : each.bytes);
    }
    own.copies.erase(own.copies.begin(), own.copies.begin() + done);
}

// An address where nothing is: told with what lies before it, and the kernel ends; outside of kernels the process does.
static void on_bad_address(int number, siginfo_t* signal, void*) {
    if (!is_running) {
        ::signal(number, SIG_DFL);
        return;  // to the same instruction, which now ends the process
    }
    char what[200];
    snprintf(what, sizeof what, "address %p, where nothing is%s", signal->si_addr, described(signal->si_addr).c_str());
    end_by_fault(&threads[fibres::current].thread, what);
}

static void watch_addresses() {
    static bool is_set = false;
    if (is_set) return;
    is_set = true;
    struct sigaction action = {};
    action.sa_sigaction = on_bad_address;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;  // it never returns from a kernel's
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}

static void run_thread() {
    Fiber& own = threads[fibres::current];
    own.copies.clear();
    own.group = 0;
    kernel_now->run(&own.thread, given_now);
    wait_at(own, DONE);
}

// Whether each thread of a mask has come to the same place, or is done.
static bool is_complete(u32 warp, u32 mask) {
    for (u32 n = 0; n < 32; n++) {
        const u32 at = warp * 32 + n;
        if (!(mask >> n & 1) || at >= thread_count || threads[at].state == DONE) continue;
        if (threads[at].state != AT_WARP || threads[at].mask != mask) return false;
    }
    return true;
}

static bool free_warps() {
    bool has_moved = false;
    for (u32 at = 0; at < thread_count; at++) {
        if (threads[at].state != AT_WARP || !is_complete(at / 32, threads[at].mask)) continue;
        const u32 mask = threads[at].mask, first = at / 32 * 32;
        for (u32 n = 0; n < 32 && first + n < thread_count; n++)
            if (mask >> n & 1 && threads[first + n].state == AT_WARP) threads[first + n].state = READY;
        has_moved = true;
    }
    return has_moved;
}

static bool free_barriers(u32 done) {
    u32 waiting[BARRIERS] = {};
    for (u32 n = 0; n < thread_count; n++)
        if (threads[n].state == AT_BARRIER) waiting[threads[n].barrier]++;
    bool has_moved = false;
    for (u32 n = 0; n < thread_count; n++) {
        if (threads[n].state != AT_BARRIER) continue;
        const u32 barrier = threads[n].barrier, wanted = threads[n].count ? threads[n].count : thread_count - done;
        if (waiting[barrier] < wanted) continue;
        for (u32 k = 0; k < thread_count; k++)
            if (threads[k].state == AT_BARRIER && threads[k].barrier == barrier) threads[k].state = READY;
        has_moved = true;
    }
    return has_moved;
}

static void tell_deadlock() {
    for (u32 n = 0; n < thread_count; n++) {
        if (threads[n].state == DONE) continue;
        char what[120];
        if (threads[n].state == AT_BARRIER)
            snprintf(what, sizeof what, "deadlock: barrier %u is not reached by all", threads[n].barrier);
        else
            snprintf(what, sizeof what, "deadlock: not all lanes of %08x meet", threads[n].mask);
        stop(Fault::DEADLOCK, threads[n].thread, what);
        return;
    }
}

// Every other block's threads take turns backwards, so that what depends on their order shows.
static void run_block(bool backwards) {
    for (u32 n = 0; n < thread_count; n++) threads[n].state = READY;
    for (;;) {
        u32 done = 0;
        for (u32 k = 0; k < thread_count; k++) {
            const u32 n = backwards ? thread_count - 1 - k : k;
            if (threads[n].state != READY) continue;
            is_running = true;
            fibres::take_turn(n);
            is_running = false;
            if (fault != Fault::NONE) return;
        }
        for (u32 n = 0; n < thread_count; n++) done += threads[n].state == DONE;
        if (done == thread_count) return;
        const bool is_warp_free = free_warps();
        if (!free_barriers(done) && !is_warp_free) return tell_deadlock();
    }
}

static void place_threads(Shape block, Shape grid, u32 dynamic, u8* shared, u64* slots) {
    const KernelInfo& info = *kernel_now->info;
    for (u32 n = 0; n < thread_count; n++) {
        Thread& c = threads[n].thread;
        c = {{n % block.x, n / block.x % block.y, n / (block.x * block.y)},
             {block.x, block.y, block.z},
             {},
             {grid.x, grid.y, grid.z}};
        c.lane = n % 32;
        c.warp = n / 32;
        c.dynamic = dynamic;
        c.shared_size = info.dynamic_offset + dynamic;
        c.shared = shared;
        c.slots = slots + n / 32 * 32;
        c.meet_block = meet_block;
        c.meet_warp = meet_warp;
        c.leave = leave;
        c.fault = end_by_fault;
        c.active = active;
        c.counted = counted;
        c.rounded_f32 = rounded_f32;
        c.rounded_f64 = rounded_f64;
        c.copy_later = copy_later;
        c.end_copies = end_copies;
        c.wait_for_copies = wait_for_copies;
    }
}

void run_grid(const Kernel& kernel, Shape grid, Shape block, u32 dynamic, u8* given) {
    if (fault != Fault::NONE) return;
    watch_addresses();
    kernel_now = &kernel;
    given_now = given;
    thread_count = block.volume();
    if (threads.size() < thread_count) threads.resize(thread_count);
    fibres::at_least(thread_count);
    fibres::body = run_thread;
    const size_t bytes = kernel.info->dynamic_offset + dynamic;
    std::vector<u8> room(bytes + 128);
    u8* shared = (u8*)(((u64)room.data() + 127) & ~127ull);
    std::vector<u64> slots((thread_count + 31) / 32 * 32);
    place_threads(block, grid, dynamic, shared, slots.data());
    for (u32 z = 0; z < grid.z; z++) for (u32 y = 0; y < grid.y; y++) for (u32 x = 0; x < grid.x; x++) {
        for (u32 n = 0; n < thread_count; n++) {
            u32* place = threads[n].thread.ctaid;
            place[0] = x; place[1] = y; place[2] = z;
        }
        memset(shared, 0xcd, bytes);  // what nobody wrote is no zero
        run_block(x % 2);
        if (fault != Fault::NONE) return fibres::forget();
    }
}
