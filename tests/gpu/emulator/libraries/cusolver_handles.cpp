// cuSOLVER's handles, streams and settings.

#include "cusolver.h"

EXPORT int cusolverDnCreate(void** h) {
    *h = new Handle{};
    return 0;
}

EXPORT int cusolverDnDestroy(void* h) {
    delete (Handle*)h;
    return 0;
}

EXPORT int cusolverSpCreate(void** h) {
    *h = new Handle{};
    return 0;
}

EXPORT int cusolverSpDestroy(void* h) {
    delete (Handle*)h;
    return 0;
}

EXPORT int cusolverDnSetStream(void* h, void* s) {
    ((Handle*)h)->stream = s;
    return 0;
}

EXPORT int cusolverDnGetStream(void* h, void** s) {
    *s = ((Handle*)h)->stream;
    return 0;
}

EXPORT int cusolverSpSetStream(void* h, void* s) {
    ((Handle*)h)->stream = s;
    return 0;
}

EXPORT int cusolverSpGetStream(void* h, void** s) {
    *s = ((Handle*)h)->stream;
    return 0;
}

EXPORT int cusolverDnCreateParams(void** p) {
    *p = malloc(8);
    return 0;
}

EXPORT int cusolverDnDestroyParams(void* p) {
    free(p);
    return 0;
}

EXPORT int cusolverGetProperty(int t, int* v) {
    static const int version[] = {12, 0, 4};
    *v = version[t];
    return 0;
}

struct Info {
    double tolerance = 0;
    int sweeps = 100, sort = 1;
};
#define INFO(X)                                      \
    EXPORT int cusolverDnCreate##X##Info(void** p) { \
        *p = new Info;                               \
        return 0;                                    \
    }                                                \
    EXPORT int cusolverDnDestroy##X##Info(void* p) { \
        delete (Info*)p;                             \
        return 0;                                    \
    }
INFO(Gesvdj)
INFO(Syevj)

#define SETTINGS(x)                                                   \
    EXPORT int cusolverDnX##x##SetTolerance(void* p, double v) {      \
        ((Info*)p)->tolerance = v;                                    \
        return 0;                                                     \
    }                                                                 \
    EXPORT int cusolverDnX##x##SetMaxSweeps(void* p, int v) {         \
        ((Info*)p)->sweeps = v;                                       \
        return 0;                                                     \
    }                                                                 \
    EXPORT int cusolverDnX##x##SetSortEig(void* p, int v) {           \
        ((Info*)p)->sort = v;                                         \
        return 0;                                                     \
    }                                                                 \
    EXPORT int cusolverDnX##x##GetResidual(void*, void*, double* v) { \
        *v = 0;                                                       \
        return 0;                                                     \
    }                                                                 \
    EXPORT int cusolverDnX##x##GetSweeps(void*, void*, int* v) {      \
        *v = 1;                                                       \
        return 0;                                                     \
    }
SETTINGS(gesvdj)
SETTINGS(syevj)
