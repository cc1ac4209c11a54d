// Functions of gamma and beta variables. Everything is float64.

// How numbers move with a parameter: the integrals of core/numerics/pathwise.py, which has the formulas, by its rule.
// NODES and WEIGHTS are the rule's, COUNT how many there are.

__constant__ double nodes[] = {NODES};
__constant__ double weights[] = {WEIGHTS};

// The derivative of log Gamma, of what is above 0: raised to 10, from where on its asymptotic series serves.
__device__ inline double digamma(double x) {
    double below = 0;
    for (; x < 10; x++) below += 1 / x;
    const double w = 1 / (x * x);
    const double series = w * (1.0 / 12 - w * (1.0 / 120 - w * (1.0 / 252 - w * (1.0 / 240 - w * (1.0 / 132
                        - w * (691.0 / 32760 - w / 12))))));
    return log(x) - 0.5 / x - series - below;
}

template <class F> __device__ inline double integral(F f) {
    double sum = 0;
    for (int k = 0; k < COUNT; k++) {
        const double value = f(nodes[k]);
        if (isfinite(value)) sum += value * weights[k];
    }
    return sum;
}

__device__ inline double gamma_below(double a, double x) {  // t = x exp(-u)
    const double scale = 1 / larger(a - x, sqrt(a)), score = log(x) - digamma(a);
    return -x * scale * integral([=](double node) {
        const double u = scale * node;
        return exp(-a * u - x * expm1(-u)) * (score - u);
    });
}

__device__ inline double gamma_above(double a, double x) {  // t = x + s
    const double scale = smaller(x / larger(x - a, sqrt(a)), 1 + sqrt(x)), score = log(x) - digamma(a);
    return scale * integral([=](double node) {
        const double s = scale * node, ratio = log1p(s / x);
        return exp((a - 1) * ratio - s) * (score + ratio);
    });
}

extern "C" __global__ void gamma_path(const double* shapes, const double* values, double* out, i64 count) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        const double a = shapes[at], x = values[at];
        out[at] = !(x > 0) ? 0 : x < a ? gamma_below(a, x) : gamma_above(a, x);
    }
}

// Over t = x exp(-u) the density over p(x) x, times the score: that of x's own logarithm, or of what is left to 1.
__device__ inline double beta_side(double x, double a, double b, double expected, bool is_own) {
    const double scale = 1 / larger(fabs(a - (a + b) * x) / (1 - x), sqrt(a * (a + b) / b));
    const double own = log(x), other = log1p(-x);
    return scale * integral([=](double node) {
        const double u = scale * node, rest = log1p(-x * exp(-u));
        return exp(-a * u + (b - 1) * (rest - other)) * ((is_own ? own - u : rest) - expected);
    });
}

extern "C" __global__ void beta_path(
    const double* values, const double* own, const double* others, double* out, i64 count
) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        const double x = values[at], a = own[at], b = others[at], expected = digamma(a) - digamma(a + b);
        out[at] = !(x > 0 && x < 1) ? 0
                : x < a / (a + b) ? -x * beta_side(x, a, b, expected, true)
                                  : (1 - x) * beta_side(1 - x, b, a, expected, false);
    }
}

// The regularised incomplete gamma functions as core/numerics/gamma.py has them: the power series below x = a + 1, Lentz'
// continued fraction above. Each is computed where it is the smaller one, or nearly.

__device__ inline double by_series(double a, double x) {
    double term = 1 / a, total = term, divisor = a;
    for (int step = 0; step < 5000 && term > total * 1e-17; step++) {
        divisor += 1;
        term *= x / divisor;
        total += term;
    }
    return total;
}

__device__ inline double apart_from_zero(double value) { return fabs(value) < 1e-300 ? 1e-300 : value; }

__device__ inline double by_fraction(double a, double x) {
    double b = x + 1 - a, c = 1e300, d = 1 / b, found = d;
    for (int k = 1; k < 5000; k++) {
        const double weight = -k * (k - a);
        b += 2;
        d = 1 / apart_from_zero(weight * d + b);
        c = apart_from_zero(b + weight / c);
        found *= c * d;
        if (fabs(c * d - 1) <= 2.3e-16) break;
    }
    return found;
}

__device__ inline double incomplete(double a, double x, bool is_upper) {
    if (!(a > 0 && x > 0 && isfinite(a) && isfinite(x))) {
        const bool is_full = (a == 0 && x > 0) || (a >= 0 && isfinite(a) && x > 0 && !isfinite(x));
        const bool is_none = (x == 0 && a > 0) || (a > 0 && !isfinite(a) && x >= 0 && isfinite(x));
        const double lower = is_full ? 1 : is_none ? 0 : (double)__uint_as_float(0x7fc00000u);
        return is_upper ? 1 - lower : lower;
    }
    const double factor = exp(a * log(x) - x - lgamma(a));
    const bool is_lower = x < a + 1;
    const double found = factor * (is_lower ? by_series(a, x) : by_fraction(a, x));
    return is_lower == is_upper ? 1 - found : found;
}

extern "C" __global__ void gammainc(const double* shapes, const double* values, double* out, i64 count) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x)
        out[at] = incomplete(shapes[at], values[at], false);
}

extern "C" __global__ void gammaincc(const double* shapes, const double* values, double* out, i64 count) {
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x)
        out[at] = incomplete(shapes[at], values[at], true);
}
