// Fibres: each runs on a stack of its own until it waits; then whoever gave it its turn goes on. So a block's threads
// are run by one thread of the CPU. Shared by the fake of CuPy and the emulated GPU.

#pragma once

#include <csetjmp>
#include <cstddef>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

namespace fibres {
const size_t STACK_BYTES = 256 << 10;

struct Fibre {
    jmp_buf place;
    char* stack;
    bool is_new;
};
static std::vector<Fibre> all;
static jmp_buf home;
static unsigned current;
static void (*body)();  // what a fibre runs, each time it is begun; it ends by a wait

// Back to who gave this fibre its turn. Contexts serve to begin only, since each change of one is a system call.
[[maybe_unused]] static void wait() {
    if (!_setjmp(all[current].place)) _longjmp(home, 1);
}

static void enter() {
    for (;;) body();
}

static void begin(unsigned n) {
    ucontext_t context;
    all[n].is_new = false;
    getcontext(&context);
    context.uc_stack.ss_sp = all[n].stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, enter, 0);
    setcontext(&context);
}

static void take_turn(unsigned n) {
    current = n;
    if (_setjmp(home)) return;
    if (all[n].is_new) begin(n);
    _longjmp(all[n].place, 1);
}

static void at_least(unsigned count) {
    while (all.size() < count) {
        const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void* stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, kind, -1, 0);
        all.push_back({{}, (char*)stack, true});
    }
}

// After a fault: what fibres were doing is given up.
[[maybe_unused]] static void forget() {
    for (auto& each : all) each.is_new = true;
}
}  // namespace fibres
