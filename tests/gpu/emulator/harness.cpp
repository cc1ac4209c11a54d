// Runs a kernel that the translator has made into a library: the part of the device that tests of the translator need.

#include <dlfcn.h>

#include "device/blocks.h"

static std::string said;

void say(const char* text) { said = text; }

std::string described(const void*) { return ""; }

// What was wrong, or nothing.
extern "C" const char* run(const char* library, const char* name, unsigned blocks, unsigned threads, unsigned dynamic,
                           void** arguments) {
    said.clear();
    forget_fault();
    void* loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!loaded) return dlerror();
    const Kernel kernel = {name, (void (*)(Thread*, u8*))dlsym(loaded, name),
                           (const KernelInfo*)dlsym(loaded, (std::string("info_of_") + name).c_str())};
    std::vector<u8> given = parameters_of(*kernel.info, arguments);
    run_grid(kernel, {blocks, 1, 1}, {threads, 1, 1}, dynamic, given.data());
    return said.c_str();
}
