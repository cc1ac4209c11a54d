// cuSOLVER's singular values and eigenvalues, by LAPACK.

#include "cusolver.h"

template <class T>
int all_singular(char ju, char jv, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu, T* v, int ldv) {
    std::vector<Real<T>> rwork(5 * at_least_1(std::min(m, n)));
    ldu = at_least_1(ldu);
    ldv = at_least_1(ldv);
    if (!m || !n) return 0;
    return with_workspace<T>([&](T* w, int* l, int* i) {
        if (is_complex<T>)
            lapack<T>("gesvd", &ju, &jv, &m, &n, a, &lda, s, u, &ldu, v, &ldv, w, l, rwork.data(), i);
        else
            lapack<T>("gesvd", &ju, &jv, &m, &n, a, &lda, s, u, &ldu, v, &ldv, w, l, i);
    });
}

template <class T>
int gesvd(void* h, char ju, char jv, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu, T* v, int ldv, int* info) {
    EXPECT(m >= n && lda >= at_least_1(m) && (ju == 'A' || ju == 'S' ? ldu >= at_least_1(m) : ju == 'N' || ju == 'O') &&
           (jv == 'A'   ? ldv >= at_least_1(n)
            : jv == 'S' ? ldv >= at_least_1(std::min(m, n))
                        : jv == 'N' || jv == 'O'));
    if (int r = waits(h)) return r;
    return later(h, [=] {
        bool finite = true;
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) finite = finite && !std::isnan(std::abs(a[i + (Long)j * lda]));
        *info = all_singular(ju, jv, m, n, a, lda, s, u, ldu, v, ldv);
        if (!finite && !*info) *info = n;
    });
}  // since CUDA 11.5 info tells of nan (pytorch/pytorch#68683)

// gesvdj and gesvda give V, not its conjugate transpose
template <class T> int svdj(int jobz, int econ, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu, T* v, int ldv) {
    int k = std::min(m, n), rows = econ ? k : n;
    if (!jobz) return all_singular<T>('N', 'N', m, n, a, lda, s, nullptr, 1, nullptr, 1);
    std::vector<T> vt((size_t)at_least_1(rows) * at_least_1(n));
    int r = all_singular<T>(econ ? 'S' : 'A', econ ? 'S' : 'A', m, n, a, lda, s, u, ldu, vt.data(), at_least_1(rows));
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n; j++) {
            T x = vt[i + (size_t)j * rows];
            if constexpr (is_complex<T>) x = std::conj(x);
            v[j + (size_t)i * ldv] = x;
        }
    return r;
}

template <class T>
int gesvdj(void* h, int jobz, int econ, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu, T* v, int ldv,
           int* info) {
    EXPECT(lda >= at_least_1(m) && (!jobz || (ldu >= at_least_1(m) && ldv >= at_least_1(n))));
    if (int r = waits(h)) return r;
    return later(h, [=] { *info = svdj(jobz, econ, m, n, a, lda, s, u, ldu, v, ldv); });
}

template <class T>
int gesvdj_batched(void* h, int jobz, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu, T* v, int ldv, int* info,
                   int count) {
    EXPECT(m <= 32 && n <= 32 && lda >= at_least_1(m) && (!jobz || (ldu >= at_least_1(m) && ldv >= at_least_1(n))));
    return later(h, [=] {
        int k = std::min(m, n);
        for (Long g = 0; g < count; g++)
            info[g] = svdj(jobz, 0, m, n, a + g * lda * n, lda, s + g * k, u + g * ldu * m, ldu, v + g * ldv * n, ldv);
    });
}

template <class T>
int gesvda(void* h, int jobz, int rank, int m, int n, const T* a, int lda, Long sa, Real<T>* s, Long ss, T* u, int ldu,
           Long su, T* v, int ldv, Long sv, int* info, double* far, int count) {
    EXPECT(m >= n && rank <= n && lda >= at_least_1(m) && (!jobz || (ldu >= at_least_1(m) && ldv >= at_least_1(n))));
    return later(h, [=] {
        for (Long g = 0; g < count; g++) {
            std::vector<T> c((size_t)at_least_1(m) * at_least_1(n)), us((size_t)at_least_1(m) * at_least_1(n)),
                vs((size_t)at_least_1(n) * at_least_1(n));
            std::vector<Real<T>> sv_(at_least_1(n));
            for (int j = 0; j < n; j++) std::copy_n(a + g * sa + (Long)j * lda, m, c.data() + (Long)j * m);
            info[g] = svdj(jobz, 1, m, n, c.data(), at_least_1(m), sv_.data(), us.data(), at_least_1(m), vs.data(),
                           at_least_1(n));
            for (int j = 0; j < rank; j++) {
                s[g * ss + j] = sv_[j];
                if (jobz) {
                    std::copy_n(us.data() + (Long)j * m, m, u + g * su + (Long)j * ldu);
                    std::copy_n(vs.data() + (Long)j * n, n, v + g * sv + (Long)j * ldv);
                }
            }
            if (far) far[g] = 0;
        }
    });
}

template <class T> int eigh(int jobz, int uplo, int n, T* a, int lda, Real<T>* w) {
    char j = jobz ? 'V' : 'N', u = letter_of_half(uplo);
    if (!n) return 0;
    std::vector<Real<T>> rwork(1 + 5 * n + 2 * (size_t)n * n);
    std::vector<int> iwork(3 + 5 * n);
    int lr = rwork.size(), li = iwork.size();
    return with_workspace<T>([&](T* k, int* l, int* i) {
        int r = *l < 0 ? -1 : lr, ii = *l < 0 ? -1 : li;
        if (is_complex<T>)
            lapack<T>("heevd", &j, &u, &n, a, &lda, w, k, l, rwork.data(), &r, iwork.data(), &ii, i);
        else
            lapack<T>("syevd", &j, &u, &n, a, &lda, w, k, l, iwork.data(), &ii, i);
    });
}

template <class T>
int syevd(void* h, int jobz, int uplo, int n, T* a, int lda, Real<T>* w, int* info, int count = 1, bool wait = true) {
    EXPECT(n >= 0 && lda >= at_least_1(n));
    if (wait)
        if (int r = waits(h)) return r;
    return later(h, [=] {
        for (Long g = 0; g < count; g++) info[g] = eigh(jobz, uplo, n, a + g * lda * n, lda, w + g * n);
    });
}

template <class T>
int geev(void* h, int jl, int jr, int n, T* a, int lda, int tw, void* w, void* vl, int ldl, int tv, void* vr, int ldr,
         int* info) {
    typedef std::complex<Real<T>> C;
    EXPECT(!jl && lda >= at_least_1(n) && (!jr || ldr >= at_least_1(n)));
    if (int r = waits(h)) return r;
    bool split = !is_complex<T> && tw < 2, pairs = !is_complex<T> && tv < 2;
    return later(h, [=] {
        char l = 'N', r = jr ? 'V' : 'N';
        std::vector<Real<T>> wr(2 * at_least_1(n));
        std::vector<T> v((size_t)at_least_1(n) * at_least_1(n));
        std::vector<C> wc(at_least_1(n));
        int ld = at_least_1(n), one = 1;
        Real<T>* wi = wr.data() + at_least_1(n);
        if constexpr (is_complex<T>)
            *info = with_workspace<T>([&](T* k, int* s, int* i) {
                lapack<T>("geev", &l, &r, &n, a, &lda, wc.data(), (T*)nullptr, &one, v.data(), &ld, k, s, wr.data(), i);
            });
        else {
            *info = with_workspace<T>([&](T* k, int* s, int* i) {
                lapack<T>("geev", &l, &r, &n, a, &lda, wr.data(), wi, (T*)nullptr, &one, v.data(), &ld, k, s, i);
            });
            for (int i = 0; i < n; i++) wc[i] = C(wr[i], wi[i]);
        }
        if (split) {
            std::copy_n(wr.data(), n, (Real<T>*)w);
            std::copy_n(wi, n, (Real<T>*)w + n);
        } else
            std::copy_n(wc.data(), n, (C*)w);
        if (jr)
            for (int j = 0; j < n; j++)
                for (int i = 0; i < n; i++) {
                    if (pairs) {
                        ((T*)vr)[i + (Long)j * ldr] = v[i + (Long)j * n];
                        continue;
                    }
                    C x;
                    if constexpr (is_complex<T>)
                        x = v[i + (Long)j * n];
                    else
                        x = wi[j] == 0  ? C(v[i + (Long)j * n])
                            : wi[j] > 0 ? C(v[i + (Long)j * n], v[i + (Long)(j + 1) * n])
                                        : C(v[i + (Long)(j - 1) * n], -v[i + (Long)j * n]);
                    ((C*)vr)[i + (Long)j * ldr] = x;
                }
    });
}

// -- What is exported: P is the letter of a type T; S begins the names about symmetric or Hermitian matrices.

#define SPECTRA(P, T, S)                                                                                               \
    EXPORT int cusolverDn##P##gesvd_bufferSize(void*, int m, int n, int* l) {                                          \
        EXPECT(m >= n && n >= 0);                                                                                      \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvd(void* h, signed char ju, signed char jv, int m, int n, T* a, int lda, Real<T>* s,  \
                                    T* u, int ldu, T* v, int ldv, T*, int, Real<T>*, int* i) {                         \
        return gesvd<T>(h, ju, jv, m, n, a, lda, s, u, ldu, v, ldv, i);                                                \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvdj_bufferSize(void*, int, int, int, int, const T*, int, const Real<T>*, const T*,    \
                                                int, const T*, int, int* l, void*) {                                   \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvdj(void* h, int j, int econ, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu, \
                                     T* v, int ldv, T*, int, int* i, void*) {                                          \
        return gesvdj<T>(h, j, econ, m, n, a, lda, s, u, ldu, v, ldv, i);                                              \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvdjBatched_bufferSize(void*, int, int m, int n, const T*, int, const Real<T>*,        \
                                                       const T*, int, const T*, int, int* l, void*, int) {             \
        EXPECT(m <= 32 && n <= 32);                                                                                    \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvdjBatched(void* h, int j, int m, int n, T* a, int lda, Real<T>* s, T* u, int ldu,    \
                                            T* v, int ldv, T*, int, int* i, void*, int c) {                            \
        return gesvdj_batched<T>(h, j, m, n, a, lda, s, u, ldu, v, ldv, i, c);                                         \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvdaStridedBatched_bufferSize(void*, int, int, int m, int n, const T*, int, Long,      \
                                                              const Real<T>*, Long, const T*, int, Long, const T*,     \
                                                              int, Long, int* l, int) {                                \
        EXPECT(m >= n);                                                                                                \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##gesvdaStridedBatched(void* h, int j, int rank, int m, int n, const T* a, int lda,        \
                                                   Long sa, Real<T>* s, Long ss, T* u, int ldu, Long su, T* v,         \
                                                   int ldv, Long sv, T*, int, int* i, double* far, int c) {            \
        return gesvda<T>(h, j, rank, m, n, a, lda, sa, s, ss, u, ldu, su, v, ldv, sv, i, far, c);                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##S##evd_bufferSize(void*, int, int, int n, const T*, int lda, const Real<T>*, int* l) {   \
        EXPECT(n >= 0 && lda >= at_least_1(n));                                                                        \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##S##evd(void* h, int j, int u, int n, T* a, int lda, Real<T>* w, T*, int, int* i) {       \
        return syevd<T>(h, j, u, n, a, lda, w, i);                                                                     \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##S##evj_bufferSize(void*, int, int, int, const T*, int, const Real<T>*, int* l, void*) {  \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##S##evj(void* h, int j, int u, int n, T* a, int lda, Real<T>* w, T*, int, int* i,         \
                                     void*) {                                                                          \
        return syevd<T>(h, j, u, n, a, lda, w, i);                                                                     \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##S##evjBatched_bufferSize(void*, int, int, int, const T*, int, const Real<T>*, int* l,    \
                                                       void*, int) {                                                   \
        *l = 64;                                                                                                       \
        return 0;                                                                                                      \
    }                                                                                                                  \
    EXPORT int cusolverDn##P##S##evjBatched(void* h, int j, int u, int n, T* a, int lda, Real<T>* w, T*, int, int* i,  \
                                            void*, int c) {                                                            \
        return syevd<T>(h, j, u, n, a, lda, w, i, c, false);                                                           \
    }

SPECTRA(S, float, sy)
SPECTRA(D, double, sy)
SPECTRA(C, Complex64, he)
SPECTRA(Z, Complex128, he)

// -- The interface of 64 bits, which has types as numbers.

// cudaDataType: 0 and 1 are real, 4 and 5 complex; the odd ones in double precision.
static bool is_type(int t) { return t == 0 || t == 1 || t == 4 || t == 5; }

EXPORT int cusolverDnXsyevd_bufferSize(void*, void*, int, int, int64_t n, int ta, void*, int64_t lda, int tw, void*,
                                       int tc, size_t* d, size_t* host) {
    EXPECT(is_type(ta) && tw == (ta & 1) && tc == ta && lda >= std::max<int64_t>(1, n));
    *d = *host = 64;
    return 0;
}

EXPORT int cusolverDnXsyevd(void* h, void*, int j, int u, int64_t n, int ta, void* a, int64_t lda, int tw, void* w,
                            int tc, void*, size_t, void*, size_t, int* i) {
    EXPECT(is_type(ta) && tw == (ta & 1) && tc == ta);
    return ta == 0   ? syevd<float>(h, j, u, n, (float*)a, lda, (float*)w, i)
           : ta == 1 ? syevd<double>(h, j, u, n, (double*)a, lda, (double*)w, i)
           : ta == 4 ? syevd<Complex64>(h, j, u, n, (Complex64*)a, lda, (float*)w, i)
                     : syevd<Complex128>(h, j, u, n, (Complex128*)a, lda, (double*)w, i);
}

static bool geev_types(int ta, int tw, int tr, int tc) {
    return is_type(ta) && (tw == ta || tw == (ta | 4)) && (tr == ta || tr == (ta | 4)) && tc == ta;
}

EXPORT int cusolverDnXgeev_bufferSize(void*, void*, int, int, int64_t n, int ta, const void*, int64_t lda, int tw,
                                      const void*, int, const void*, int64_t, int tr, const void*, int64_t, int tc,
                                      size_t* d, size_t* host) {
    EXPECT(geev_types(ta, tw, tr, tc) && lda >= std::max<int64_t>(1, n));
    *d = *host = 64;
    return 0;
}

EXPORT int cusolverDnXgeev(void* h, void*, int jl, int jr, int64_t n, int ta, void* a, int64_t lda, int tw, void* w,
                           int, void* vl, int64_t ldl, int tr, void* vr, int64_t ldr, int tc, void*, size_t, void*,
                           size_t, int* i) {
    EXPECT(geev_types(ta, tw, tr, tc));
    return ta == 0   ? geev<float>(h, jl, jr, n, (float*)a, lda, tw, w, vl, ldl, tr, vr, ldr, i)
           : ta == 1 ? geev<double>(h, jl, jr, n, (double*)a, lda, tw, w, vl, ldl, tr, vr, ldr, i)
           : ta == 4 ? geev<Complex64>(h, jl, jr, n, (Complex64*)a, lda, tw, w, vl, ldl, tr, vr, ldr, i)
                     : geev<Complex128>(h, jl, jr, n, (Complex128*)a, lda, tw, w, vl, ldl, tr, vr, ldr, i);
}
