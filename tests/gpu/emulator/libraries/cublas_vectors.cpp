// cuBLAS's functions of vectors, and of matrices element by element, by loops.

#include "cublas.h"

template <class T, class W> int dot(void* h, int n, const T* x, int ix, const T* y, int iy, T* r, bool c) {
    return later(h, [=] {
        W s = 0;
        for (int i = 0; i < n; i++) s += W(c ? conjugate(x[i * ix]) : x[i * ix]) * W(y[i * iy]);
        *r = T(s);
    });
}

template <class T> double magnitude(T v) {
    if constexpr (is_complex<T>)
        return std::fabs(v.real()) + std::fabs(v.imag());
    else
        return std::fabs((double)v);
}

template <class T> int nrm2(void* h, int n, const T* x, int ix, Real<T>* r) {
    return later(h, [=] {
        double s = 0, top = 0;
        for (int i = 0; i < n; i++) {
            double m = std::abs(x[(Long)i * ix]);
            if (m > top || m != m) top = m;
            if (top != top) break;
        }
        if (!(top > 0) || std::isinf(top)) {
            *r = top;
            return;
        }
        for (int i = 0; i < n; i++) {
            double m = std::abs(x[(Long)i * ix]) / top;
            s += m * m;
        }
        *r = top * std::sqrt(s);
    });
}

template <class T> int asum(void* h, int n, const T* x, int ix, Real<T>* r) {
    return later(h, [=] {
        double s = 0;
        for (int i = 0; i < n; i++) s += magnitude(x[(Long)i * ix]);
        *r = s;
    });
}

template <class T> int extreme_index(void* h, int n, const T* x, int ix, int* r, bool top) {
    return later(h, [=] {
        int at = 0;
        for (int i = 1; i < n; i++) {
            double a = magnitude(x[(Long)i * ix]), b = magnitude(x[(Long)at * ix]);
            if (top ? a > b : a < b) at = i;
        }
        *r = n > 0 && ix > 0 ? at + 1 : 0;
    });
}

template <class T, class A> int scal(void* h, int n, const A* al, T* x, int ix) {
    A a = *al;
    return later(h, [=] {
        for (int i = 0; i < n; i++) x[(Long)i * ix] *= a;
    });
}

template <class T> int axpy(void* h, int n, const T* al, const T* x, int ix, T* y, int iy) {
    T a = *al;
    return later(h, [=] {
        for (int i = 0; i < n; i++) y[(Long)i * iy] += a * x[(Long)i * ix];
    });
}

template <class T>
int ger(void* h, int m, int n, const T* al, const T* x, int ix, const T* y, int iy, T* a, int lda, bool c) {
    T alpha = *al;
    return later(h, [=] {
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++)
                a[i + (Long)j * lda] += alpha * x[i * ix] * (c ? conjugate(y[j * iy]) : y[j * iy]);
    });
}

template <class T> int dgmm(void* h, int side, int m, int n, const T* a, int lda, const T* x, int ix, T* c, int ldc) {
    return later(h, [=] {
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) c[i + (Long)j * ldc] = a[i + (Long)j * lda] * x[(side ? j : i) * ix];
    });
}

template <class T>
int geam(void* h, int oa, int ob, int m, int n, const T* al, const T* a, int lda, const T* be, const T* b, int ldb,
         T* c, int ldc) {
    EXPECT(m >= 0 && n >= 0 && lda >= at_least_1(oa ? n : m) && ldb >= at_least_1(ob ? n : m) && ldc >= at_least_1(m) &&
           !(a == c && (oa || lda != ldc)) && !(b == c && (ob || ldb != ldc)));
    T alpha = *al, beta = *be;
    return later(h, [=] {
        auto at = [](const T* p, int ld, int o, int i, int j) {
            T v = o ? p[j + (Long)i * ld] : p[i + (Long)j * ld];
            return o == 2 ? conjugate(v) : v;
        };
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                T s = 0;
                if (alpha != T(0)) s += alpha * at(a, lda, oa, i, j);
                if (beta != T(0)) s += beta * at(b, ldb, ob, i, j);
                c[i + (Long)j * ldc] = s;
            }
    });
}

// -- What is exported: P is the letter of a type T; N and S are those of norms, and of the largest element.

#define VECTORS(P, T, N, S)                                                                                           \
    EXPORT int cublas##N##nrm2_v2(void* h, int n, const T* x, int ix, Real<T>* r) { return nrm2<T>(h, n, x, ix, r); } \
    EXPORT int cublas##N##asum_v2(void* h, int n, const T* x, int ix, Real<T>* r) { return asum<T>(h, n, x, ix, r); } \
    EXPORT int cublasI##S##amax_v2(void* h, int n, const T* x, int ix, int* r) {                                      \
        return extreme_index<T>(h, n, x, ix, r, true);                                                                \
    }                                                                                                                 \
    EXPORT int cublasI##S##amin_v2(void* h, int n, const T* x, int ix, int* r) {                                      \
        return extreme_index<T>(h, n, x, ix, r, false);                                                               \
    }                                                                                                                 \
    EXPORT int cublas##P##scal_v2(void* h, int n, const T* al, T* x, int ix) { return scal<T, T>(h, n, al, x, ix); }  \
    EXPORT int cublas##P##axpy_v2(void* h, int n, const T* al, const T* x, int ix, T* y, int iy) {                    \
        return axpy<T>(h, n, al, x, ix, y, iy);                                                                       \
    }                                                                                                                 \
    EXPORT int cublas##P##geam(void* h, int oa, int ob, int m, int n, const T* al, const T* a, int lda, const T* be,  \
                               const T* b, int ldb, T* c, int ldc) {                                                  \
        return geam<T>(h, oa, ob, m, n, al, a, lda, be, b, ldb, c, ldc);                                              \
    }
VECTORS(S, float, S, s)
VECTORS(D, double, D, d)
VECTORS(C, Complex64, Sc, c)
VECTORS(Z, Complex128, Dz, z)

#define COMPLEX(P, T)                                                                                                  \
    EXPORT int cublas##P##geru_v2(void* h, int m, int n, const T* al, const T* x, int ix, const T* y, int iy, T* a,    \
                                  int lda) {                                                                           \
        return ger<T>(h, m, n, al, x, ix, y, iy, a, lda, false);                                                       \
    }                                                                                                                  \
    EXPORT int cublas##P##gerc_v2(void* h, int m, int n, const T* al, const T* x, int ix, const T* y, int iy, T* a,    \
                                  int lda) {                                                                           \
        return ger<T>(h, m, n, al, x, ix, y, iy, a, lda, true);                                                        \
    }                                                                                                                  \
    EXPORT int cublas##P##dgmm(void* h, int s, int m, int n, const T* a, int lda, const T* x, int ix, T* c, int ldc) { \
        return dgmm<T>(h, s, m, n, a, lda, x, ix, c, ldc);                                                             \
    }
COMPLEX(C, Complex64)
COMPLEX(Z, Complex128)

EXPORT int cublasSdot_v2(void* h, int n, const float* x, int ix, const float* y, int iy, float* r) {
    return dot<float, double>(h, n, x, ix, y, iy, r, false);
}
EXPORT int cublasDdot_v2(void* h, int n, const double* x, int ix, const double* y, int iy, double* r) {
    return dot<double, double>(h, n, x, ix, y, iy, r, false);
}
EXPORT int cublasCdotu_v2(void* h, int n, const Complex64* x, int ix, const Complex64* y, int iy, Complex64* r) {
    return dot<Complex64, Complex128>(h, n, x, ix, y, iy, r, false);
}
EXPORT int cublasCdotc_v2(void* h, int n, const Complex64* x, int ix, const Complex64* y, int iy, Complex64* r) {
    return dot<Complex64, Complex128>(h, n, x, ix, y, iy, r, true);
}
EXPORT int cublasZdotu_v2(void* h, int n, const Complex128* x, int ix, const Complex128* y, int iy, Complex128* r) {
    return dot<Complex128, Complex128>(h, n, x, ix, y, iy, r, false);
}
EXPORT int cublasZdotc_v2(void* h, int n, const Complex128* x, int ix, const Complex128* y, int iy, Complex128* r) {
    return dot<Complex128, Complex128>(h, n, x, ix, y, iy, r, true);
}
EXPORT int cublasSger_v2(void* h, int m, int n, const float* al, const float* x, int ix, const float* y, int iy,
                         float* a, int lda) {
    return ger<float>(h, m, n, al, x, ix, y, iy, a, lda, false);
}
EXPORT int cublasDger_v2(void* h, int m, int n, const double* al, const double* x, int ix, const double* y, int iy,
                         double* a, int lda) {
    return ger<double>(h, m, n, al, x, ix, y, iy, a, lda, false);
}
EXPORT int cublasSdgmm(void* h, int s, int m, int n, const float* a, int lda, const float* x, int ix, float* c,
                       int ldc) {
    return dgmm<float>(h, s, m, n, a, lda, x, ix, c, ldc);
}
EXPORT int cublasDdgmm(void* h, int s, int m, int n, const double* a, int lda, const double* x, int ix, double* c,
                       int ldc) {
    return dgmm<double>(h, s, m, n, a, lda, x, ix, c, ldc);
}
EXPORT int cublasCsscal_v2(void* h, int n, const float* al, Complex64* x, int ix) {
    return scal<Complex64, float>(h, n, al, x, ix);
}
EXPORT int cublasZdscal_v2(void* h, int n, const double* al, Complex128* x, int ix) {
    return scal<Complex128, double>(h, n, al, x, ix);
}
