// Numbers of distributions that each element's own parameters choose, by rejection, in float64.
// An element takes its words from blocks of its own, as many as it needs, whatever the grid is.

struct Words {
    u64 element, key, block;
    u32 four[4];
    bool has_second;

    __device__ Words(u64 element, u64 key) : element(element), key(key), block(0), has_second(false) {}

    __device__ double fraction() {  // between 0 and 1, and neither
        if (!has_second) philox(element, key, four, block++);
        has_second = !has_second;
        return has_second ? Fraction<double>::above(four[0], four[1]) : Fraction<double>::above(four[2], four[3]);
    }

    __device__ double normal() {
        const double far = sqrt(-2 * log(fraction()));
        return far * cos(6.283185307179586 * fraction());
    }
};

__device__ inline double not_a_number() { return (double)__uint_as_float(0x7fc00000u); }

// Calls draw(element, words) for each element.
template <class Draw> __device__ inline void for_each(double* out, i64 count, u64 key, const u64* more, Draw draw) {
    const u64 moved = key + (more ? *more : 0);
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < count; at += (i64)gridDim.x * blockDim.x) {
        Words words((u64)at, moved);
        out[at] = draw(at, words);
    }
}

// Gamma. Source: Marsaglia and Tsang 2000, "A simple method for generating gamma variables".
__device__ inline double gamma_of(double shape, Words& words) {
    if (!(shape > 0)) return shape < 0 ? not_a_number() : shape;
    double share = 1;
    if (shape < 1) {
        share = pow(words.fraction(), 1 / shape);
        shape += 1;
    }
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double x = words.normal(), root = 1 + c * x, u = words.fraction();
        if (root <= 0) continue;
        const double v = root * root * root;
        if (u < 1 - 0.0331 * x * x * x * x || log(u) < 0.5 * x * x + d * (1 - v + log(v))) return share * d * v;
    }
}

extern "C" __global__ void gamma_numbers(
    double* out, i64 count, u64 key, const u64* more, i64* fault, i64 kind, const double* shapes
) {
    for_each(out, count, key, more, [=](i64 at, Words& words) {
        if (shapes[at] < 0) note(fault, kind, 0, 0);
        return gamma_of(shapes[at], words);
    });
}

// Logarithms of probabilities, without differences of large numbers.
// Source: Loader 2000, "Fast and accurate computation of binomial probabilities".

// log k! less Stirling's formula for it.
__device__ inline double beyond_stirling(double k) {
    if (k < 16) return k > 0 ? lgamma(k + 1) - (k + 0.5) * log(k) + k - 0.9189385332046727 : 0;
    const double w = 1 / (k * k);
    return (1.0 / 12 - w * (1.0 / 360 - w * (1.0 / 1260 - w / 1680))) / k;
}

// k log(k / mean) + mean - k.
__device__ inline double deviance(double k, double mean) {
    if (k == 0) return mean;
    const double v = (k - mean) / (k + mean);
    if (fabs(v) >= 0.1) return k * log(k / mean) + mean - k;
    double sum = (k - mean) * v, term = 2 * k * v;
    for (int odd = 3; odd < 30; odd += 2) {
        term *= v * v;
        sum += term / odd;
    }
    return sum;
}

__device__ inline double log_poisson(double k, double rate) {
    return -deviance(k, rate) - (k > 0 ? beyond_stirling(k) + 0.5 * log(6.283185307179586 * k) : 0);
}

__device__ inline double log_binomial(double k, double n, double p) {
    if (k == 0) return n * log1p(-p);
    if (k == n) return n * log(p);
    return beyond_stirling(n) - beyond_stirling(k) - beyond_stirling(n - k) - deviance(k, n * p)
         - deviance(n - k, n * (1 - p)) + 0.5 * log(n / (6.283185307179586 * k * (n - k)));
}

// Poisson: below 10 as many exponential waits as fit into the time, from there on by a transformed rejection.
// Source: Hoermann 1993, "The transformed rejection method for generating Poisson random variables" (PTRS).
__device__ inline double poisson_of(double rate, Words& words) {
    if (!(rate < 1e300)) return rate;
    if (!(rate >= 0)) return not_a_number();
    if (rate < 10) {
        const double last = exp(-rate);
        double left = words.fraction(), k = 0;
        for (; left > last; k++) left *= words.fraction();
        return k;
    }
    const double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b;
    const double hat = 1.1239 + 1.1328 / (b - 3.4), quick = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
        const double u = words.fraction() - 0.5, v = words.fraction(), edge = 0.5 - fabs(u);
        const double k = floor((2 * a / edge + b) * u + rate + 0.43);
        if (edge >= 0.07 && v <= quick) return k;
        if (k < 0 || (edge < 0.013 && v > edge)) continue;
        if (log(v * hat / (a / (edge * edge) + b)) <= log_poisson(k, rate)) return k;
    }
}

extern "C" __global__ void poisson_numbers(
    double* out, i64 count, u64 key, const u64* more, i64* fault, i64 kind, const double* rates
) {
    for_each(out, count, key, more, [=](i64 at, Words& words) {
        if (!(rates[at] >= 0)) note(fault, kind, 0, 0);
        return poisson_of(rates[at], words);
    });
}

// Binomial, of chances up to 1/2: one number among the sums of probabilities where fewer than 10 are expected, else by
// a transformed rejection.
// Source: Hoermann 1993, "The generation of binomial random variates" (BTRS).
__device__ inline double searched(double n, double p, Words& words) {
    for (;;) {
        double left = words.fraction(), share = exp(n * log1p(-p));
        for (double k = 0; k <= n && k < 200; k++) {
            if (left <= share) return k;
            left -= share;
            share *= (n - k) / (k + 1) * (p / (1 - p));
        }
    }
}

__device__ inline double rejected(double n, double p, Words& words) {
    const double spread = sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p;
    const double quick = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * spread;
    const double most = log_binomial(floor((n + 1) * p), n, p);
    for (;;) {
        const double u = words.fraction() - 0.5, v = words.fraction(), edge = 0.5 - fabs(u);
        const double k = floor((2 * a / edge + b) * u + n * p + 0.5);
        if (edge >= 0.07 && v <= quick) return k;
        if (k < 0 || k > n) continue;
        if (log(v * alpha / (a / (edge * edge) + b)) <= log_binomial(k, n, p) - most) return k;
    }
}

__device__ inline double binomial_of(double tries, double chance, Words& words) {
    if (!(tries < 9.2e18) || chance != chance) return not_a_number();
    const double n = floor(tries);
    if (n <= 0 || chance <= 0) return 0;
    if (chance >= 1) return n;
    const double p = chance > 0.5 ? 1 - chance : chance;
    const double k = n * p < 10 ? searched(n, p, words) : rejected(n, p, words);
    return chance > 0.5 ? n - k : k;
}

extern "C" __global__ void binomial_numbers(
    double* out, i64 count, u64 key, const u64* more, i64*, i64, const double* tries, const double* chances
) {
    for_each(out, count, key, more, [=](i64 at, Words& words) { return binomial_of(tries[at], chances[at], words); });
}

// Von Mises, around 0: a wrapped Cauchy number, rejected. 1 - cos is kept, which cos of a small angle would lose.
// Source: Best and Fisher 1979, "Efficient simulation of the von Mises distribution".
__device__ inline double angle_of(double strength, Words& words) {
    const double pi = 3.141592653589793;
    if (!(strength >= 0)) return not_a_number();
    if (strength > 1e100) return 0;
    if (strength < 1e-8) return pi * (2 * words.fraction() - 1);
    const double root = hypot(1.0, 2 * strength), tau = 1 + root;
    const double rho = sqrt(tau) * 2 * strength / ((sqrt(tau) + sqrt(2.0)) * (root + 1));
    const double gap = strength < 1 ? 1 - rho : (sqrt(2 * tau) - 1 - 1 / (2 * strength + root)) / (2 * strength);
    const double beyond = gap * gap / (2 * rho);  // r - 1, where gap is 1 - rho
    for (;;) {
        const double half = sin(pi / 2 * words.fraction()), v = words.fraction(), side = words.fraction();
        const double rise = 2 * half * half;                      // 1 - z
        const double drop = beyond * rise / (2 - rise + beyond);  // 1 - cos of the angle
        const double y = strength * (beyond + drop);
        if (y * (2 - y) > v || log(y / v) + 1 - y >= 0) {
            const double angle = 2 * asin(sqrt(fmin(drop / 2, 1.0)));
            return side < 0.5 ? -angle : angle;
        }
    }
}

extern "C" __global__ void von_mises_numbers(
    double* out, i64 count, u64 key, const u64* more, i64* fault, i64 kind, const double* strengths
) {
    for_each(out, count, key, more, [=](i64 at, Words& words) {
        if (strengths[at] < 0) note(fault, kind, 0, 0);
        return angle_of(strengths[at], words);
    });
}
