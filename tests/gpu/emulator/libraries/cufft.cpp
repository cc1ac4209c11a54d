// cuFFT, in double precision whatever the type: each length by its smallest factor.

#include <complex>
#include <map>
#include <memory>
#include <mutex>

#include "lapack.h"

enum Status { INVALID_PLAN = 1, INVALID_TYPE = 3, INVALID_VALUE = 4, EXEC_FAILED = 6, INVALID_SIZE = 8, NO_WORKSPACE = 13 };
enum Type { R2C = 0x2a, C2R = 0x2c, C2C = 0x29, D2Z = 0x6a, Z2D = 0x6c, Z2Z = 0x69 };

typedef std::vector<Complex128> Numbers;
typedef std::vector<int> Sizes;

// How one side's elements lie: element i of each batch at `batch * distance + stride * place(i)`.
struct Layout {
    Sizes embedded;
    Long stride, distance;
    Long place(const Sizes& index) const {
        Long at = index[0];
        for (size_t axis = 1; axis < index.size(); axis++) at = at * embedded[axis] + index[axis];
        return stride * at;
    }
};
struct Plan {
    void* stream = nullptr;
    Sizes sizes;
    Layout in, out;
    int type = -1, batches = 0;
    bool has_workspace = false;
};

static std::mutex lock;
static std::map<int, std::shared_ptr<Plan>> plans;
static int next_plan = 1;

static std::shared_ptr<Plan> plan_of(int handle) {
    std::lock_guard<std::mutex> locked(lock);
    auto found = plans.find(handle);
    return found == plans.end() ? nullptr : found->second;
}

// -- Transforms

static Long smallest_factor(Long n) {
    for (Long p = 2; p * p <= n; p++)
        if (n % p == 0) return p;
    return n;
}

// The n numbers x[0], x[step], ...; `roots` are those of the whole length.
static void transform(const Complex128* x, Long n, Long step, Complex128* out, const Numbers& roots) {
    if (n == 1) {
        *out = *x;
        return;
    }
    const Long p = smallest_factor(n), m = n / p, far = (Long)roots.size() / n;
    Numbers part(n);
    for (Long r = 0; r < p; r++) transform(x + r * step, m, step * p, part.data() + r * m, roots);
    for (Long k = 0; k < n; k++) {
        Complex128 sum = 0;
        for (Long r = 0; r < p; r++) sum += part[r * m + k % m] * roots[r * k % n * far];
        out[k] = sum;
    }
}

static Numbers roots_of_one(int n, int sign) {
    Numbers roots(n);
    for (int k = 0; k < n; k++) roots[k] = std::polar(1.0, sign * 2 * M_PI * k / n);
    return roots;
}

static Long volume(const Sizes& sizes) {
    Long product = 1;
    for (int n : sizes) product *= n;
    return product;
}

static Sizes index_of(Long element, const Sizes& sizes) {
    Sizes index(sizes.size());
    for (int axis = (int)sizes.size() - 1; axis >= 0; axis--) {
        index[axis] = element % sizes[axis];
        element /= sizes[axis];
    }
    return index;
}

// Of a real result's spectrum one half is given; the other one mirrors it, and what has no partner is real.
static void mirror(Numbers& line) {
    const Long n = line.size(), half = n / 2 + 1;
    line[0] = line[0].real();
    for (Long k = 1; k < half; k++) {
        if (2 * k == n) line[k] = line[k].real();
        line[n - k] = std::conj(line[k]);
    }
}

static void transform_along(int axis, Complex128* data, const Sizes& sizes, int sign, bool is_to_real) {
    const int last = (int)sizes.size() - 1;
    const Long total = volume(sizes), n = sizes[axis], width = sizes[last];
    Long stride = 1;
    for (int later = axis + 1; later <= last; later++) stride *= sizes[later];
    const Numbers roots = roots_of_one(n, sign);
    Numbers line(n), done(n);
    for (Long start = 0; start < total; start++) {
        if (start / stride % n) continue;
        if (is_to_real && axis != last && start % width >= width / 2 + 1) continue;  // not given
        for (Long k = 0; k < n; k++) line[k] = data[start + k * stride];
        if (is_to_real && axis == last) mirror(line);
        transform(line.data(), n, 1, done.data(), roots);
        for (Long k = 0; k < n; k++) data[start + k * stride] = done[k];
    }
}

template <class In, class Out> static void run(const Plan& plan, const In* x, Out* y, int sign) {
    const bool is_from_real = !is_complex<In>, is_to_real = !is_complex<Out>;
    const Long total = volume(plan.sizes);
    const int last = (int)plan.sizes.size() - 1, half = plan.sizes[last] / 2 + 1;
    // All is read before anything is written: input and output may be the same memory.
    Numbers data(total * plan.batches);
    for (Long batch = 0; batch < plan.batches; batch++) {
        for (Long element = 0; element < total; element++) {
            const Sizes index = index_of(element, plan.sizes);
            if (is_to_real && index[last] >= half) continue;
            data[batch * total + element] = Complex128(x[batch * plan.in.distance + plan.in.place(index)]);
        }
        for (int axis = 0; axis <= last; axis++)
            transform_along(axis, data.data() + batch * total, plan.sizes, sign, is_to_real);
    }
    for (Long batch = 0; batch < plan.batches; batch++)
        for (Long element = 0; element < total; element++) {
            const Sizes index = index_of(element, plan.sizes);
            if (is_from_real && index[last] >= half) continue;
            Out& out = y[batch * plan.out.distance + plan.out.place(index)];
            if constexpr (is_complex<Out>)
                out = Out(data[batch * total + element]);
            else
                out = data[batch * total + element].real();
        }
}

template <class In, class Out> static int execute(int handle, const In* x, Out* y, int type, int sign) {
    auto plan = plan_of(handle);
    if (!plan) return INVALID_PLAN;
    if (plan->type != type) return INVALID_TYPE;
    if (!plan->has_workspace) {
        complain("a cuFFT plan has no workspace");
        return NO_WORKSPACE;
    }
    // cuFFT reads real numbers in pairs (cupy/cupy#9229).
    if ((uintptr_t)x % (2 * sizeof(Real<In>)) || (uintptr_t)y % (2 * sizeof(Real<Out>))) {
        complain("cuFFT's data is not aligned to its complex type");
        return INVALID_VALUE;
    }
    return queued(plan->stream, [=] { run(*plan, x, y, sign); }) ? 0 : EXEC_FAILED;
}

EXPORT int cufftExecC2C(int plan, Complex64* x, Complex64* y, int sign) { return execute(plan, x, y, C2C, sign); }
EXPORT int cufftExecZ2Z(int plan, Complex128* x, Complex128* y, int sign) { return execute(plan, x, y, Z2Z, sign); }
EXPORT int cufftExecR2C(int plan, float* x, Complex64* y) { return execute(plan, x, y, R2C, -1); }
EXPORT int cufftExecD2Z(int plan, double* x, Complex128* y) { return execute(plan, x, y, D2Z, -1); }
EXPORT int cufftExecC2R(int plan, Complex64* x, float* y) { return execute(plan, x, y, C2R, 1); }
EXPORT int cufftExecZ2D(int plan, Complex128* x, double* y) { return execute(plan, x, y, Z2D, 1); }

// -- Plans

EXPORT int cufftCreate(int* out) {
    std::lock_guard<std::mutex> locked(lock);
    *out = next_plan++;
    plans[*out] = std::make_shared<Plan>();
    return 0;
}
EXPORT int cufftDestroy(int handle) {
    std::lock_guard<std::mutex> locked(lock);
    return plans.erase(handle) ? 0 : INVALID_PLAN;
}
EXPORT int cufftSetAutoAllocation(int, int) { return 0; }
EXPORT int cufftSetWorkArea(int handle, void*) {
    auto plan = plan_of(handle);
    if (!plan) return INVALID_PLAN;
    plan->has_workspace = true;
    return 0;
}
EXPORT int cufftSetStream(int handle, void* stream) {
    auto plan = plan_of(handle);
    if (!plan) return INVALID_PLAN;
    plan->stream = stream;
    return 0;
}
EXPORT int cufftGetVersion(int* out) {
    *out = 12000;
    return 0;
}

static bool contains(const Sizes& embedded, const Sizes& sizes) {
    for (size_t axis = 1; axis < sizes.size(); axis++)
        if (embedded[axis] < sizes[axis]) return false;
    return true;
}

EXPORT int cufftMakePlanMany(int handle, int rank, int* sizes, int* in, int in_stride, int in_distance, int* out,
                             int out_stride, int out_distance, int type, int batches, size_t* workspace) {
    auto plan = plan_of(handle);
    if (!plan || plan->type >= 0) return INVALID_PLAN;
    if (rank < 1 || rank > 3) return INVALID_VALUE;
    const bool is_from_real = type == R2C || type == D2Z, is_to_real = type == C2R || type == Z2D;
    if (!is_from_real && !is_to_real && type != C2C && type != Z2Z) return INVALID_TYPE;
    const Sizes whole(sizes, sizes + rank);
    if (batches < 1 || *std::min_element(whole.begin(), whole.end()) < 1) return INVALID_SIZE;
    Sizes half = whole;
    half[rank - 1] = whole[rank - 1] / 2 + 1;
    const Sizes &given = is_to_real ? half : whole, &made = is_from_real ? half : whole;
    plan->in = {given, 1, volume(given)};
    plan->out = {made, 1, volume(made)};
    if (in && out) {
        plan->in = {Sizes(in, in + rank), in_stride, in_distance};
        plan->out = {Sizes(out, out + rank), out_stride, out_distance};
    }
    if (!contains(plan->in.embedded, given) || !contains(plan->out.embedded, made)) {
        complain("a cuFFT plan's arrays are smaller than its transform");
        return INVALID_SIZE;
    }
    plan->sizes = whole;
    plan->type = type;
    plan->batches = batches;
    *workspace = 16;
    return 0;
}
EXPORT int cufftMakePlan1d(int handle, int size, int type, int batches, size_t* workspace) {
    return cufftMakePlanMany(handle, 1, &size, nullptr, 1, 0, nullptr, 1, 0, type, batches, workspace);
}
