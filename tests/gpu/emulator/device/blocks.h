// How kernels are run, and what they can do wrong. Without CUDA's headers, so that the translator's tests need none.

#pragma once

#include <string>
#include <vector>

#include "../ptx/thread.h"

// Says what a program did wrong: a number alone would not tell.
void complain(const char* format, ...) __attribute__((format(printf, 1, 2)));
// Where that is said: standard error, or what a test reads.
void say(const char* text);

// Where an address is, seen from the allocation before it; empty where there is none.
std::string described(const void* address);

struct Shape {
    unsigned x, y, z;
    unsigned volume() const { return x * y * z; }
};
struct Kernel {
    const char* name;
    void (*run)(Thread*, u8*);
    const KernelInfo* info;
};

// The arguments, each at its place.
std::vector<u8> parameters_of(const KernelInfo& info, void** arguments);

// Runs every thread of a grid. A fault ends the kernel; like a GPU's, it stays until it is forgotten.
void run_grid(const Kernel& kernel, Shape grid, Shape block, u32 dynamic, u8* given);

enum class Fault { NONE, MISALIGNED, NOTHING_THERE, DEADLOCK, FAILED };
Fault fault_so_far();
void forget_fault();

float rounded_f32(char operation, char direction, float a, float b, float c);
double rounded_f64(char operation, char direction, double a, double b, double c);
