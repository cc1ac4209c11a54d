// The driver's part: PTX becomes a library of C by the translator, a program of its own; launches are checked against a
// GPU's limits.

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <fstream>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "activity.h"

struct Module {
    void* library;
};
struct Function {
    std::string name;
    Kernel kernel;
    u32 most_dynamic = SHARED_BY_DEFAULT;
};

// Two texts with one name would be one kernel for another: so 128 bits (FNV-1a).
static std::string name_of(const char* text) {
    u128 hash = (u128)0x6c62272e07bb0142ull << 64 | 0x62b821756295c58dull;
    const u128 prime = (u128)1 << 88 | 0x13b;
    for (; *text; text++) hash = (hash ^ (u8)*text) * prime;
    char name[33];
    snprintf(name, sizeof name, "%016llx%016llx", (u64)(hash >> 64), (u64)hash);
    return name;
}

// Runs the translator, which ends by itself when it takes too long, and says what it could not translate. It writes the
// library where all went well.
static bool translate(const std::string& translator, const std::string& text, const std::string& library) {
    char* const arguments[] = {(char*)translator.c_str(), (char*)text.c_str(), (char*)library.c_str(), nullptr};
    pid_t child;
    if (posix_spawn(&child, arguments[0], nullptr, nullptr, arguments, environ)) return false;
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    // A program that ignores its children's ends gets no status.
    return !access(library.c_str(), R_OK);
}

// This library is in the folder's "lib".
static std::string own_folder() {
    Dl_info own = {};
    dladdr((const void*)&own_folder, &own);
    const std::string file = own.dli_fname ? own.dli_fname : "";
    return file.substr(0, file.rfind("/lib/"));
}

static CUresult load(CUmodule* out, const char* text) {
    if (!memcmp(text,
                "\x7f"
                "ELF",
                4)) {
        complain("a kernel came as machine code, which cannot be run here: CUPY_COMPILE_WITH_PTX has to be 1");
        return CUDA_ERROR_INVALID_IMAGE;
    }
    const std::string folder = own_folder();
    const std::string base = folder + "/kernels/" + name_of(text), library = base + ".so";
    if (access(library.c_str(), R_OK)) {
        const std::string source = base + "." + std::to_string(getpid()) + ".ptx";
        std::ofstream(source) << text;
        const bool is_done = translate(folder + "/translate", source, library);
        unlink(source.c_str());
        if (!is_done) {
            complain("a kernel could not be translated");
            return CUDA_ERROR_INVALID_PTX;
        }
    }
    void* loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!loaded) {
        complain("%s", dlerror());
        return CUDA_ERROR_INVALID_IMAGE;
    }
    *out = (CUmodule) new Module{loaded};
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleLoadData(CUmodule* out, const void* image) {
    Locked locked(device_lock);
    return load(out, (const char*)image);
}

EXPORT CUresult cuModuleLoad(CUmodule* out, const char* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return cuModuleLoadData(out, text.c_str());
}

// Its functions may be in a graph still, so the library stays.
EXPORT CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }

EXPORT CUresult cuModuleGetFunction(CUfunction* out, CUmodule module, const char* name) {
    void* library = ((Module*)module)->library;
    auto* info = (const KernelInfo*)dlsym(library, (std::string("info_of_") + name).c_str());
    auto run = (void (*)(Thread*, u8*))dlsym(library, name);
    if (!info || !run) return CUDA_ERROR_NOT_FOUND;
    auto* made = new Function{name, {nullptr, run, info}};
    made->kernel.name = made->name.c_str();
    *out = (CUfunction)made;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr* out, size_t* size, CUmodule module, const char* name) {
    void* found = dlsym(((Module*)module)->library, (std::string("x_") + name).c_str());
    if (!found) return CUDA_ERROR_NOT_FOUND;
    if (out) *out = (CUdeviceptr)found;
    if (size) *size = 0;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetAttribute(int* out, CUfunction_attribute which, CUfunction handle) {
    const Function& own = *(Function*)handle;
    switch (which) {
        case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *out = own.kernel.info->most_threads; break;
        case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: *out = own.kernel.info->static_shared; break;
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *out = own.most_dynamic; break;
        case CU_FUNC_ATTRIBUTE_NUM_REGS: *out = 32; break;
        case CU_FUNC_ATTRIBUTE_PTX_VERSION: *out = 90; break;
        case CU_FUNC_ATTRIBUTE_BINARY_VERSION: *out = 90; break;
        default: *out = 0;
    }
    return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute which, int value) {
    Function& own = *(Function*)handle;
    if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
    if (value < 0 || value + own.kernel.info->static_shared > SHARED_AT_MOST) return CUDA_ERROR_INVALID_VALUE;
    own.most_dynamic = value;
    return CUDA_SUCCESS;
}

static bool is_possible(const Function& own, Shape grid, Shape block, u32 dynamic) {
    const bool is_shape = grid.x && grid.y && grid.z && block.x && block.y && block.z && grid.x <= MOST_BLOCKS_IN_X &&
                          grid.y <= MOST_BLOCKS_IN_Y && grid.z <= MOST_BLOCKS_IN_Y && block.x <= MOST_THREADS &&
                          block.y <= MOST_THREADS && block.z <= MOST_THREADS_IN_Z;
    if (!is_shape || block.volume() > MOST_THREADS || block.volume() > own.kernel.info->most_threads) {
        complain("no GPU runs %s with a grid of %u,%u,%u and blocks of %u,%u,%u", own.name.c_str(), grid.x, grid.y,
                 grid.z, block.x, block.y, block.z);
        return false;
    }
    const u32 fixed = own.kernel.info->static_shared;
    const u32 most = own.most_dynamic > SHARED_BY_DEFAULT ? own.most_dynamic + fixed : SHARED_BY_DEFAULT;
    if (dynamic + fixed > most) {
        complain("%s may have %u bytes of shared memory, not %u", own.name.c_str(), most, dynamic + fixed);
        return false;
    }
    return true;
}

EXPORT CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned dynamic, CUstream stream, void** arguments,
                               void** extra) {
    const Function& own = *(Function*)handle;
    const Shape grid = {grid_x, grid_y, grid_z}, block = {block_x, block_y, block_z};
    if (extra) return CUDA_ERROR_NOT_SUPPORTED;
    if (!is_possible(own, grid, block, dynamic)) return CUDA_ERROR_INVALID_VALUE;
    std::vector<u8> given = parameters_of(*own.kernel.info, arguments);
    const Kernel kernel = own.kernel;
    Calling call("cuLaunchKernel");
    Activity told = {Act::KERNEL, kernel.name};
    told.grid = grid;
    told.block = block;
    told.static_shared = kernel.info->static_shared;
    told.dynamic_shared = dynamic;
    const Work work = [=]() mutable { run_grid(kernel, grid, block, dynamic, given.data()); };
    return (CUresult)compute(stream, told_of(told, stream, work, is_capturing(stream)));
}

// Its blocks wait for each other, which blocks that run one after another cannot.
EXPORT CUresult cuLaunchCooperativeKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                          unsigned, CUstream, void**) {
    complain("cooperative launches are not emulated");
    return CUDA_ERROR_NOT_SUPPORTED;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* out, CUfunction, int threads, size_t) {
    *out = THREADS_OF_ONE / threads;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction handle, CUoccupancyB2DSize, size_t,
                                                 int limit) {
    const int most = ((Function*)handle)->kernel.info->most_threads;
    *block = limit && limit < most ? limit : most;
    *grid = 2 * MULTIPROCESSORS;
    return CUDA_SUCCESS;
}
