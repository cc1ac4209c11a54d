// cuSOLVER's factorisations and what solves by them, by LAPACK. Arguments that LAPACK refuses give a status, where
// cuSOLVER gives a negative info only: so they are seen.

#include "cusolver.h"

template <class T> int potrf(void* h, int uplo, int n, T* a, int lda, int* info) {
    EXPECT(n >= 0 && lda >= at_least_1(n));
    return later(h, [=] {
        char u = letter_of_half(uplo);
        lapack<T>("potrf", &u, &n, a, &lda, info);
    });
}

template <class T> int potrs(void* h, int uplo, int n, int k, const T* a, int lda, T* b, int ldb, int* info) {
    EXPECT(n >= 0 && k >= 0 && lda >= at_least_1(n) && ldb >= at_least_1(n));
    return later(h, [=] {
        char u = letter_of_half(uplo);
        lapack<T>("potrs", &u, &n, &k, a, &lda, b, &ldb, info);
    });
}

template <class T> int potrf_batched(void* h, int uplo, int n, T** a, int lda, int* info, int count) {
    EXPECT(n >= 0 && lda >= at_least_1(n) && count >= 0);
    return later(h, [=] {
        char u = letter_of_half(uplo);
        for (int g = 0; g < count; g++) lapack<T>("potrf", &u, &n, a[g], &lda, info + g);
    });
}

template <class T>
int potrs_batched(void* h, int uplo, int n, int k, T** a, int lda, T** b, int ldb, int* info, int count) {
    EXPECT(k == 1 && lda >= at_least_1(n) && ldb >= at_least_1(n));
    return later(h, [=] {
        char u = letter_of_half(uplo);
        for (int g = 0; g < count; g++) lapack<T>("potrs", &u, &n, &k, a[g], &lda, b[g], &ldb, info);
    });
}

template <class T> int getrf(void* h, int m, int n, T* a, int lda, int* ipiv, int* info) {
    EXPECT(m >= 0 && n >= 0 && lda >= at_least_1(m));
    if (!ipiv) {
        complain("getrf without pivots is not emulated");
        return 15;
    }
    return later(h, [=] { lapack<T>("getrf", &m, &n, a, &lda, ipiv, info); });
}

template <class T>
int getrs(void* h, int trans, int n, int k, const T* a, int lda, const int* ipiv, T* b, int ldb, int* info) {
    EXPECT(lda >= at_least_1(n) && ldb >= at_least_1(n));
    return later(h, [=] {
        char t = letter_of_operation(trans);
        lapack<T>("getrs", &t, &n, &k, a, &lda, ipiv, b, &ldb, info);
    });
}

template <class T> int geqrf(void* h, int m, int n, T* a, int lda, T* tau, int* info) {
    EXPECT(m >= 0 && n >= 0 && lda >= at_least_1(m));
    return later(h, [=] {
        *info = with_workspace<T>([&](T* w, int* l, int* i) { lapack<T>("geqrf", &m, &n, a, &lda, tau, w, l, i); });
    });
}

template <class T> int orgqr(void* h, int m, int n, int k, T* a, int lda, const T* tau, int* info) {
    EXPECT(m >= n && n >= k && k >= 0 && lda >= at_least_1(m));
    return later(h, [=] {
        *info = with_workspace<T>(
            [&](T* w, int* l, int* i) { lapack_of<T>("orgqr", "ungqr", &m, &n, &k, a, &lda, tau, w, l, i); });
    });
}

template <class T>
int ormqr(void* h, int side, int trans, int m, int n, int k, const T* a, int lda, const T* tau, T* c, int ldc,
          int* info) {
    int rows = side ? n : m;
    EXPECT(k <= rows && k >= 0 && lda >= at_least_1(rows) && ldc >= at_least_1(m) &&
           (trans != (is_complex<T> ? 1 : 2)));
    return later(h, [=] {
        char s = side ? 'R' : 'L', t = letter_of_operation(trans);
        *info = with_workspace<T>([&](T* w, int* l, int* i) {
            lapack_of<T>("ormqr", "unmqr", &s, &t, &m, &n, &k, a, &lda, tau, c, &ldc, w, l, i);
        });
    });
}

template <class T> int sytrf(void* h, int uplo, int n, T* a, int lda, int* ipiv, int* info) {
    EXPECT(lda >= at_least_1(n));
    return later(h, [=] {
        char u = letter_of_half(uplo);
        *info = with_workspace<T>([&](T* w, int* l, int* i) { lapack<T>("sytrf", &u, &n, a, &lda, ipiv, w, l, i); });
    });
}

template <class T> int gebrd(void* h, int m, int n, T* a, int lda, Real<T>* d, Real<T>* e, T* tq, T* tp, int* info) {
    EXPECT(m >= n && lda >= at_least_1(m));
    return later(h, [=] {
        *info = with_workspace<T>(
            [&](T* w, int* l, int* i) { lapack<T>("gebrd", &m, &n, a, &lda, d, e, tq, tp, w, l, i); });
    });
}

// The refining ones: LAPACK's own precision needs no refinement.

template <class T>
int gesv(void* h, int n, int k, T* a, int lda, int* ipiv, T* b, int ldb, T* x, int ldx, int* iter, int* info) {
    EXPECT(lda >= at_least_1(n) && ldb >= at_least_1(n) && ldx >= at_least_1(n));
    if (int r = waits(h)) return r;
    *iter = 1;
    return later(h, [=] {
        std::vector<T> c((size_t)at_least_1(n) * at_least_1(n));
        for (int j = 0; j < n; j++) std::copy_n(a + (Long)j * lda, n, c.data() + (Long)j * n);
        for (int j = 0; j < k; j++) std::copy_n(b + (Long)j * ldb, n, x + (Long)j * ldx);
        int ldc = at_least_1(n);
        lapack<T>("gesv", &n, &k, c.data(), &ldc, ipiv, x, &ldx, info);
    });
}

template <class T>
int gels(void* h, int m, int n, int k, T* a, int lda, T* b, int ldb, T* x, int ldx, int* iter, int* info) {
    EXPECT(m >= n && lda >= at_least_1(m) && ldb >= at_least_1(m) && ldx >= at_least_1(n));
    if (int r = waits(h)) return r;
    *iter = 1;
    return later(h, [=] {
        std::vector<T> c((size_t)at_least_1(m) * at_least_1(n)), y((size_t)at_least_1(m) * at_least_1(k));
        for (int j = 0; j < n; j++) std::copy_n(a + (Long)j * lda, m, c.data() + (Long)j * m);
        for (int j = 0; j < k; j++) std::copy_n(b + (Long)j * ldb, m, y.data() + (Long)j * m);
        int ld = at_least_1(m);
        char t = 'N';
        *info = with_workspace<T>(
            [&](T* w, int* l, int* i) { lapack<T>("gels", &t, &m, &n, &k, c.data(), &ld, y.data(), &ld, w, l, i); });
        for (int j = 0; j < k; j++) std::copy_n(y.data() + (Long)j * m, n, x + (Long)j * ldx);
    });
}

// -- What is exported: P is the letter of a type T; O begins the names about orthogonal or unitary matrices.

#define FACTORS(P, T, O)                                                                                            \
    EXPORT int cusolverDn##P##potrf_bufferSize(void*, int, int n, T*, int lda, int* l) {                            \
        EXPECT(n >= 0 && lda >= at_least_1(n));                                                                     \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##potrf(void* h, int u, int n, T* a, int lda, T*, int, int* i) {                        \
        return potrf<T>(h, u, n, a, lda, i);                                                                        \
    }                                                                                                               \
    EXPORT int cusolverDn##P##potrs(void* h, int u, int n, int k, const T* a, int lda, T* b, int ldb, int* i) {     \
        return potrs<T>(h, u, n, k, a, lda, b, ldb, i);                                                             \
    }                                                                                                               \
    EXPORT int cusolverDn##P##potrfBatched(void* h, int u, int n, T** a, int lda, int* i, int c) {                  \
        return potrf_batched<T>(h, u, n, a, lda, i, c);                                                             \
    }                                                                                                               \
    EXPORT int cusolverDn##P##potrsBatched(void* h, int u, int n, int k, T** a, int lda, T** b, int ldb, int* i,    \
                                           int c) {                                                                 \
        return potrs_batched<T>(h, u, n, k, a, lda, b, ldb, i, c);                                                  \
    }                                                                                                               \
    EXPORT int cusolverDn##P##getrf_bufferSize(void*, int m, int n, T*, int lda, int* l) {                          \
        EXPECT(m >= 0 && n >= 0 && lda >= at_least_1(m));                                                           \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##getrf(void* h, int m, int n, T* a, int lda, T*, int* p, int* i) {                     \
        return getrf<T>(h, m, n, a, lda, p, i);                                                                     \
    }                                                                                                               \
    EXPORT int cusolverDn##P##getrs(void* h, int t, int n, int k, const T* a, int lda, const int* p, T* b, int ldb, \
                                    int* i) {                                                                       \
        return getrs<T>(h, t, n, k, a, lda, p, b, ldb, i);                                                          \
    }                                                                                                               \
    EXPORT int cusolverDn##P##geqrf_bufferSize(void*, int m, int n, T*, int, int* l) {                              \
        EXPECT(m >= 0 && n >= 0);                                                                                   \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##geqrf(void* h, int m, int n, T* a, int lda, T* tau, T*, int, int* i) {                \
        return geqrf<T>(h, m, n, a, lda, tau, i);                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##O##gqr_bufferSize(void*, int m, int n, int k, const T*, int lda, const T*, int* l) {  \
        EXPECT(m >= n && n >= k && lda >= at_least_1(m));                                                           \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##O##gqr(void* h, int m, int n, int k, T* a, int lda, const T* tau, T*, int, int* i) {  \
        return orgqr<T>(h, m, n, k, a, lda, tau, i);                                                                \
    }                                                                                                               \
    EXPORT int cusolverDn##P##O##mqr_bufferSize(void*, int, int, int, int, int, const T*, int, const T*, const T*,  \
                                                int, int* l) {                                                      \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##O##mqr(void* h, int s, int t, int m, int n, int k, const T* a, int lda, const T* tau, \
                                     T* c, int ldc, T*, int, int* i) {                                              \
        return ormqr<T>(h, s, t, m, n, k, a, lda, tau, c, ldc, i);                                                  \
    }                                                                                                               \
    EXPORT int cusolverDn##P##sytrf_bufferSize(void*, int, T*, int, int* l) {                                       \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##sytrf(void* h, int u, int n, T* a, int lda, int* p, T*, int, int* i) {                \
        return sytrf<T>(h, u, n, a, lda, p, i);                                                                     \
    }                                                                                                               \
    EXPORT int cusolverDn##P##gebrd_bufferSize(void*, int, int, int* l) {                                           \
        *l = 64;                                                                                                    \
        return 0;                                                                                                   \
    }                                                                                                               \
    EXPORT int cusolverDn##P##gebrd(void* h, int m, int n, T* a, int lda, Real<T>* d, Real<T>* e, T* tq, T* tp, T*, \
                                    int, int* i) {                                                                  \
        return gebrd<T>(h, m, n, a, lda, d, e, tq, tp, i);                                                          \
    }

FACTORS(S, float, or)
FACTORS(D, double, or)
FACTORS(C, Complex64, un)
FACTORS(Z, Complex128, un)

// The second letter is the precision that the real library begins with.
#define REFINED(P, T)                                                                                                 \
    EXPORT int cusolverDn##P##gesv_bufferSize(void*, int, int, T*, int, int*, T*, int, T*, int, void*, size_t* l) {   \
        *l = 64;                                                                                                      \
        return 0;                                                                                                     \
    }                                                                                                                 \
    EXPORT int cusolverDn##P##gesv(void* h, int n, int k, T* a, int lda, int* p, T* b, int ldb, T* x, int ldx, void*, \
                                   size_t, int* it, int* i) {                                                         \
        return gesv<T>(h, n, k, a, lda, p, b, ldb, x, ldx, it, i);                                                    \
    }                                                                                                                 \
    EXPORT int cusolverDn##P##gels_bufferSize(void*, int, int, int, T*, int, T*, int, T*, int, void*, size_t* l) {    \
        *l = 64;                                                                                                      \
        return 0;                                                                                                     \
    }                                                                                                                 \
    EXPORT int cusolverDn##P##gels(void* h, int m, int n, int k, T* a, int lda, T* b, int ldb, T* x, int ldx, void*,  \
                                   size_t, int* it, int* i) {                                                         \
        return gels<T>(h, m, n, k, a, lda, b, ldb, x, ldx, it, i);                                                    \
    }
REFINED(ZZ, Complex128)
REFINED(ZC, Complex128)
REFINED(ZY, Complex128)
REFINED(ZK, Complex128)
REFINED(CC, Complex64)
REFINED(CY, Complex64)
REFINED(CK, Complex64)
REFINED(DD, double)
REFINED(DS, double)
REFINED(DX, double)
REFINED(DH, double)
REFINED(SS, float)
REFINED(SX, float)
REFINED(SH, float)
