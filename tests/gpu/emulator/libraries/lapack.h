// LAPACK and BLAS by name, from the OpenBLAS that SciPy's wheel brings (LAPACK is its file).

#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "../../fake/on_cpu.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

typedef long long Long;
typedef std::complex<float> Complex64;
typedef std::complex<double> Complex128;

template <class T> struct Parts {
    typedef T Real;
    static const bool IS_COMPLEX = false;
};
template <class T> struct Parts<std::complex<T>> {
    typedef T Real;
    static const bool IS_COMPLEX = true;
};
template <class T> using Real = typename Parts<T>::Real;
template <class T> constexpr bool is_complex = Parts<T>::IS_COMPLEX;

template <class T> T conjugate(T value) {
    if constexpr (is_complex<T>)
        return std::conj(value);
    else
        return value;
}

__attribute__((format(printf, 1, 2))) static inline void complain(const char* format, ...) {
    va_list given;
    va_start(given, format);
    fprintf(stderr, "emulated GPU: ");
    vfprintf(stderr, format, given);
    fprintf(stderr, "\n");
    va_end(given);
}

static inline void* found_in_lapack(const std::string& name) {
    static std::mutex lock;
    static std::map<std::string, void*> known;
    static void* library;
    std::lock_guard<std::mutex> locked(lock);
    if (!library) {
        library = dlopen(LAPACK, RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            complain("no LAPACK: %s", dlerror());
            abort();
        }
    }
    void*& function = known[name];
    if (!function) function = dlsym(library, ("scipy_" + name + "_").c_str());
    if (!function) {
        complain("LAPACK has no %s", name.c_str());
        abort();
    }
    return function;
}

template <class T> char letter_of_type() {
    return is_complex<T> ? (sizeof(T) == 8 ? 'c' : 'z') : (sizeof(T) == 4 ? 's' : 'd');
}

// A function by its name without the type's letter. Fortran wants the lengths of strings at the end.
template <class T, class... A> void lapack(const char* name, A... given) {
    void* found = found_in_lapack(letter_of_type<T>() + std::string(name));
    ((void (*)(A..., size_t, size_t, size_t, size_t))found)(given..., 1, 1, 1, 1);
}

// One with a name for real types and another for complex ones (orgqr, ungqr).
template <class T, class... A> void lapack_of(const char* real, const char* complex, A... given) {
    lapack<T>(is_complex<T> ? complex : real, given...);
}

// A call with room to work in, whose size LAPACK is asked first; gives LAPACK's info.
template <class T, class Call> int with_workspace(Call call) {
    T wanted;
    int query = -1, info = 0;
    call(&wanted, &query, &info);
    int size = std::max(1, (int)std::real(wanted));
    std::vector<T> room(size);
    call(room.data(), &size, &info);
    return info;
}

// cuBLAS's numbers in LAPACK's letters.
static inline char letter_of_half(int half) { return half ? 'U' : 'L'; }
static inline char letter_of_operation(int operation) { return "NTC"[operation]; }
static inline int at_least_1(int n) { return std::max(1, n); }
