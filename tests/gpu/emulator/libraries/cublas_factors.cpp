// cuBLAS's functions of triangular and symmetric matrices and its factorisations of batches, by BLAS and LAPACK.

#include "cublas.h"

template <class T>
int trsm(void* h, int side, int uplo, int trans, int diag, int m, int n, const T* al, const T* a, int lda, T* b,
         int ldb) {
    EXPECT(m >= 0 && n >= 0 && lda >= at_least_1(side ? n : m) && ldb >= at_least_1(m));
    T alpha = *al;
    return later(h, [=] {
        if (!m || !n) return;
        char s = side ? 'R' : 'L', u = uplo ? 'U' : 'L', t = letter_of_operation(trans), d = diag ? 'U' : 'N';
        lapack<T>("trsm", &s, &u, &t, &d, &m, &n, &alpha, a, &lda, b, &ldb);
    });
}

template <class T>
int trsm_batched(void* h, int side, int uplo, int trans, int diag, int m, int n, const T* al, const T* const* a,
                 int lda, T* const* b, int ldb, int count) {
    EXPECT(m >= 0 && n >= 0 && count >= 0 && lda >= at_least_1(side ? n : m) && ldb >= at_least_1(m));
    T alpha = *al;
    return later(h, [=] {
        if (!m || !n) return;
        char s = side ? 'R' : 'L', u = uplo ? 'U' : 'L', t = letter_of_operation(trans), d = diag ? 'U' : 'N';
        for (int g = 0; g < count; g++) lapack<T>("trsm", &s, &u, &t, &d, &m, &n, &alpha, a[g], &lda, b[g], &ldb);
    });
}

template <class T>
int syrk(void* h, int uplo, int trans, int n, int k, const T* al, const T* a, int lda, const T* be, T* c, int ldc) {
    EXPECT(n >= 0 && k >= 0 && lda >= at_least_1(trans ? k : n) && ldc >= at_least_1(n) &&
           (trans < 2 || !is_complex<T>));
    T alpha = *al, beta = *be;
    return later(h, [=] {
        char u = uplo ? 'U' : 'L', t = trans ? 'T' : 'N';
        lapack<T>("syrk", &u, &t, &n, &k, &alpha, a, &lda, &beta, c, &ldc);
    });
}

template <class T>
int sbmv(void* h, int uplo, int n, int k, const T* al, const T* a, int lda, const T* x, int ix, const T* be, T* y,
         int iy) {
    EXPECT(lda > k);
    T alpha = *al, beta = *be;
    return later(h, [=] {
        char u = uplo ? 'U' : 'L';
        lapack<T>("sbmv", &u, &n, &k, &alpha, a, &lda, x, &ix, &beta, y, &iy);
    });
}

template <class T> int tpttr(void* h, int uplo, int n, const T* p, T* a, int lda) {
    EXPECT(lda >= at_least_1(n));
    return later(h, [=] {
        int info;
        char u = uplo ? 'U' : 'L';
        lapack<T>("tpttr", &u, &n, p, a, &lda, &info);
    });
}

template <class T> int trttp(void* h, int uplo, int n, const T* a, int lda, T* p) {
    EXPECT(lda >= at_least_1(n));
    return later(h, [=] {
        int info;
        char u = uplo ? 'U' : 'L';
        lapack<T>("trttp", &u, &n, a, &lda, p, &info);
    });
}

// without pivots a zero on the diagonal stops the elimination; info is its place
template <class T> int lu(int n, T* a, int lda) {
    int info = 0;
    for (int k = 0; k < n; k++) {
        T p = a[k + (Long)k * lda];
        if (p == T(0)) {
            if (!info) info = k + 1;
            continue;
        }
        for (int i = k + 1; i < n; i++) {
            T f = a[i + (Long)k * lda] /= p;
            for (int j = k + 1; j < n; j++) a[i + (Long)j * lda] -= f * a[k + (Long)j * lda];
        }
    }
    return info;
}

template <class T> int getrf_batched(void* h, int n, T* const* a, int lda, int* p, int* info, int count) {
    EXPECT(n >= 0 && lda >= at_least_1(n) && count >= 0);
    return later(h, [=] {
        for (int g = 0; g < count; g++)
            if (p)
                lapack<T>("getrf", &n, &n, a[g], &lda, p + (Long)g * n, info + g);
            else
                info[g] = lu(n, a[g], lda);
    });
}

template <class T>
int getrs_batched(void* h, int trans, int n, int k, const T* const* a, int lda, const int* p, T* const* b, int ldb,
                  int* info, int count) {
    *info = n < 0 ? -2 : k < 0 ? -3 : lda < at_least_1(n) ? -5 : ldb < at_least_1(n) ? -8 : count < 0 ? -10 : 0;
    EXPECT(!*info);
    return later(h, [=] {
        std::vector<int> same(n);
        for (int i = 0; i < n; i++) same[i] = i + 1;
        char t = letter_of_operation(trans);
        int r;
        for (int g = 0; g < count; g++)
            lapack<T>("getrs", &t, &n, &k, a[g], &lda, p ? p + (Long)g * n : same.data(), b[g], &ldb, &r);
    });
}

template <class T>
int getri_batched(void* h, int n, const T* const* a, int lda, const int* p, T* const* c, int ldc, int* info,
                  int count) {
    EXPECT(n >= 0 && lda >= at_least_1(n) && ldc >= at_least_1(n) && count >= 0);
    return later(h, [=] {
        std::vector<int> same(n);
        for (int i = 0; i < n; i++) same[i] = i + 1;
        for (int g = 0; g < count; g++) {
            if (a[g] == c[g]) complain("getriBatched in place");
            for (int j = 0; j < n; j++) std::copy_n(a[g] + (Long)j * lda, n, c[g] + (Long)j * ldc);
            info[g] = with_workspace<T>([&](T* w, int* l, int* i) {
                lapack<T>("getri", &n, c[g], &ldc, p ? p + (Long)g * n : same.data(), w, l, i);
            });
        }
    });
}

// -- What is exported: P is the letter of a type T.

#define FACTORS(P, T)                                                                                                  \
    EXPORT int cublas##P##trsm_v2(void* h, int s, int u, int t, int d, int m, int n, const T* al, const T* a, int lda, \
                                  T* b, int ldb) {                                                                     \
        return trsm<T>(h, s, u, t, d, m, n, al, a, lda, b, ldb);                                                       \
    }                                                                                                                  \
    EXPORT int cublas##P##trsmBatched(void* h, int s, int u, int t, int d, int m, int n, const T* al,                  \
                                      const T* const* a, int lda, T* const* b, int ldb, int c) {                       \
        return trsm_batched<T>(h, s, u, t, d, m, n, al, a, lda, b, ldb, c);                                            \
    }                                                                                                                  \
    EXPORT int cublas##P##syrk_v2(void* h, int u, int t, int n, int k, const T* al, const T* a, int lda, const T* be,  \
                                  T* c, int ldc) {                                                                     \
        return syrk<T>(h, u, t, n, k, al, a, lda, be, c, ldc);                                                         \
    }                                                                                                                  \
    EXPORT int cublas##P##getrfBatched(void* h, int n, T* const* a, int lda, int* p, int* i, int c) {                  \
        return getrf_batched<T>(h, n, a, lda, p, i, c);                                                                \
    }                                                                                                                  \
    EXPORT int cublas##P##getrsBatched(void* h, int t, int n, int k, const T* const* a, int lda, const int* p,         \
                                       T* const* b, int ldb, int* i, int c) {                                          \
        return getrs_batched<T>(h, t, n, k, a, lda, p, b, ldb, i, c);                                                  \
    }                                                                                                                  \
    EXPORT int cublas##P##getriBatched(void* h, int n, const T* const* a, int lda, const int* p, T* const* c, int ldc, \
                                       int* i, int count) {                                                            \
        return getri_batched<T>(h, n, a, lda, p, c, ldc, i, count);                                                    \
    }
FACTORS(S, float)
FACTORS(D, double)
FACTORS(C, Complex64)
FACTORS(Z, Complex128)

#define REAL_ONLY(P, T)                                                                                               \
    EXPORT int cublas##P##sbmv_v2(void* h, int u, int n, int k, const T* al, const T* a, int lda, const T* x, int ix, \
                                  const T* be, T* y, int iy) {                                                        \
        return sbmv<T>(h, u, n, k, al, a, lda, x, ix, be, y, iy);                                                     \
    }                                                                                                                 \
    EXPORT int cublas##P##tpttr(void* h, int u, int n, const T* p, T* a, int lda) {                                   \
        return tpttr<T>(h, u, n, p, a, lda);                                                                          \
    }                                                                                                                 \
    EXPORT int cublas##P##trttp(void* h, int u, int n, const T* a, int lda, T* p) {                                   \
        return trttp<T>(h, u, n, a, lda, p);                                                                          \
    }
REAL_ONLY(S, float)
REAL_ONLY(D, double)
