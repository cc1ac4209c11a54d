// Connectionist temporal classification: core/ops/nn/ctc.py says what alpha and beta are. T is the probabilities' type, I
// the labels'. Sums are kept as logarithms in float64; what they add to their largest term is computed as T is.

struct Problem {
    i64 steps, batch, classes;
    i64 stride_of_steps, stride_of_batch, stride_of_classes;  // of the probabilities, in elements
    i64 longest;                                              // labels in a row, where each sequence has one
    i64 labels;                                               // in all
    i64 blank;
    i64 few_steps, many_steps, few_labels, long_row, other_sum, no_class;  // kinds of faults
};

// A sequence. Its places are its labels with a blank before, between and behind them; its rows of sums, one for each
// step, lie behind those of the sequences before it, which have as many places as their labels say.
struct Sequence {
    i64 first, labels, steps, places, sums;
    bool fits, is_possible;  // into the arrays; into its steps
};

__device__ inline Sequence sequence_of(
    i64 n, const Problem& problem, const i64* starts, const i64* steps, const i64* labels
) {
    Sequence one;
    one.first = starts ? starts[n] : n * problem.longest;
    one.labels = labels[n];
    one.steps = steps[n];
    const i64 room = starts ? problem.labels - one.first : problem.longest;
    one.fits = one.steps >= 0 && one.steps <= problem.steps && one.first >= 0 && one.labels >= 0 && one.labels <= room;
    one.is_possible = one.fits && one.labels <= one.steps;
    one.places = 2 * one.labels + 1;
    one.sums = problem.steps * (2 * one.first + n);
    return one;
}

// What is wrong with a sequence: the lengths, and labels that are no class.
__device__ inline void tell(
    const Sequence& one, i64 n, const I* targets, bool is_in_row, const Problem& problem, i64* fault
) {
    if (one.fits)
        for (i64 at = threadIdx.x; at < one.labels; at += blockDim.x) {
            const i64 label = targets[one.first + at];
            if (label < 0 || label >= problem.classes) note(fault, problem.no_class, label, problem.classes);
        }
    if (threadIdx.x) return;
    if (one.steps < 0) note(fault, problem.few_steps, one.steps, 0);
    else if (one.steps > problem.steps) note(fault, problem.many_steps, one.steps, problem.steps);
    else if (one.labels < 0) note(fault, problem.few_labels, one.labels, 0);
    else if (!is_in_row && !one.fits) note(fault, problem.long_row, one.labels, problem.longest);
    else if (is_in_row && (!one.fits || (n == problem.batch - 1 && one.first + one.labels != problem.labels)))
        note(fault, problem.other_sum, one.first + one.labels, problem.labels);
}

__device__ inline i64 label_at(i64 place, const Sequence& one, const I* targets, i64 blank) {
    return place % 2 ? (i64)targets[one.first + place / 2] : blank;
}

// The logarithm of a sum.
__device__ inline double added(double a, double b, double c) {
    const double most = larger(larger(a, b), c);
    if (most == minus_infinity()) return most;
    typedef Computed<T>::type Fine;
    return most + logarithm(power((Fine)(a - most)) + power((Fine)(b - most)) + power((Fine)(c - most)));
}

// Over all paths: those that end in the last label, or in the blank behind it, which stand last in the last row.
__device__ inline double total(const Sequence& one, const double* alpha) {
    const double* end = alpha + one.sums + one.steps * one.places;
    return added(end[-1], one.labels ? end[-2] : minus_infinity(), minus_infinity());
}

// A place as a walk has it: where its label's probabilities are, and whether a path may come from two places before.
struct Place {
    const T* given;
    bool may_skip;
};

__device__ inline Place place_of(
    i64 walked, bool is_backwards, i64 n, const Sequence& one, const T* probabilities, const I* targets,
    const Problem& problem
) {
    const i64 place = is_backwards ? one.places - 1 - walked : walked;
    const i64 label = label_at(place, one, targets, problem.blank);
    const i64 before = label_at(place - (is_backwards ? -2 : 2) * (walked > 2), one, targets, problem.blank);
    const i64 safe = label < 0 || label >= problem.classes ? problem.blank : label;
    return {probabilities + n * problem.stride_of_batch + safe * problem.stride_of_classes,
            walked > 2 && place % 2 && label != before};
}

// The sums over all paths up to each place and step, a block for each sequence; backwards those from there on, by the
// same walk over the mirror image. A thread has PER_THREAD places, whose probabilities for a step are on their way while
// the step before is computed, and those that are left. Rows of up to ROOM places are exchanged in shared memory, longer
// ones where the sums are.
extern "C" __global__ void __launch_bounds__(512) walk(
    const T* probabilities, const I* targets, const i64* starts, const i64* steps, const i64* labels,
    const Problem problem, int is_backwards, double* sums, T* losses, i64* fault
) {
    __shared__ double exchanged[2][ROOM];
    const i64 n = blockIdx.x;
    const double never = minus_infinity();
    const Sequence one = sequence_of(n, problem, starts, steps, labels);
    if (losses) tell(one, n, targets, starts != 0, problem, fault);
    if (!one.is_possible) {
        if (threadIdx.x == 0 && losses) put(losses + n, one.fits ? -minus_infinity() : __uint_as_float(0x7fc00000u));
        return;
    }
    Place places[PER_THREAD];
    double ready[PER_THREAD];
    #pragma unroll
    for (int k = 0; k < PER_THREAD; k++) {
        const i64 walked = threadIdx.x + (i64)k * blockDim.x;
        if (walked >= one.places) break;
        places[k] = place_of(walked, is_backwards, n, one, probabilities, targets, problem);
        if (one.steps) ready[k] = widened(places[k].given[(is_backwards ? one.steps - 1 : 0) * problem.stride_of_steps]);
    }
    for (i64 walk = 0; walk < one.steps; walk++) {
        const i64 step = is_backwards ? one.steps - 1 - walk : walk, next = is_backwards ? step - 1 : step + 1;
        double* row = sums + one.sums + step * one.places;
        const double* last = is_backwards ? row + one.places : row - one.places;
        const auto before = [&](i64 walked) {
            if (walked < 0) return never;
            return one.places <= ROOM ? exchanged[(walk + 1) % 2][walked] : last[is_backwards ? one.places - 1 - walked : walked];
        };
        const auto arrive = [&](i64 walked, bool may_skip, double here) {
            here += walk ? added(before(walked), before(walked - 1), may_skip ? before(walked - 2) : never)
                  : walked < 2 ? 0 : never;
            row[is_backwards ? one.places - 1 - walked : walked] = here;
            if (one.places <= ROOM) exchanged[walk % 2][walked] = here;
        };
        #pragma unroll
        for (int k = 0; k < PER_THREAD; k++) {
            const i64 walked = threadIdx.x + (i64)k * blockDim.x;
            if (walked >= one.places) break;
            const double here = ready[k];
            if (walk + 1 < one.steps) ready[k] = widened(places[k].given[next * problem.stride_of_steps]);
            arrive(walked, places[k].may_skip, here);
        }
        for (i64 walked = threadIdx.x + (i64)PER_THREAD * blockDim.x; walked < one.places; walked += blockDim.x) {
            const Place place = place_of(walked, is_backwards, n, one, probabilities, targets, problem);
            arrive(walked, place.may_skip, widened(place.given[step * problem.stride_of_steps]));
        }
        __syncthreads();
    }
    if (threadIdx.x == 0 && losses) put(losses + n, (Computed<T>::type)(one.steps ? -total(one, sums) : 0));
}

// For each label which one behind it is the same, or 0, and whether none before it is. Shape: (labels, 2).
extern "C" __global__ void same_labels(
    const I* targets, const i64* starts, const i64* steps, const i64* labels, const Problem problem, int* same
) {
    const Sequence one = sequence_of(blockIdx.x, problem, starts, steps, labels);
    if (!one.fits) return;
    const I* row = targets + one.first;
    for (i64 at = threadIdx.x; at < one.labels; at += blockDim.x) {
        i64 next = at + 1, before = at - 1;
        while (next < one.labels && row[next] != row[at]) next++;
        while (before >= 0 && row[before] != row[at]) before--;
        same[2 * (one.first + at)] = next < one.labels ? (int)next : 0;
        same[2 * (one.first + at) + 1] = before < 0;
    }
}

// The gradient: each class's probability less the share of the paths that have it there, a block for a step of a
// sequence. The shares of a class are added up by one thread, those of the blank by all, in one order every time.
extern "C" __global__ void __launch_bounds__(128) slopes(
    const T* g, const T* probabilities, const I* targets, const i64* starts, const i64* steps, const i64* labels,
    const Problem problem, const double* alpha, const double* beta, const int* same, int zero_infinity, T* out
) {
    typedef Computed<T>::type Fine;
    const i64 step = blockIdx.x / problem.batch, n = blockIdx.x % problem.batch;
    const double never = minus_infinity();
    const Sequence one = sequence_of(n, problem, starts, steps, labels);
    T* to = out + (step * problem.batch + n) * problem.classes;
    const T* given = probabilities + step * problem.stride_of_steps + n * problem.stride_of_batch;
    const bool is_used = one.fits && step < one.steps;
    const double all = is_used && one.is_possible ? total(one, alpha) : never;
    const Fine factor = widened(g[n]);
    if (all == never || all != all) {
        const bool is_zero = !is_used || (zero_infinity && all == never);
        for (i64 label = threadIdx.x; label < problem.classes; label += blockDim.x)
            put(to + label, is_zero ? 0 : __uint_as_float(0x7fc00000u));
        return;
    }
    const double* a = alpha + one.sums + step * one.places;
    const double* b = beta + one.sums + step * one.places;
    for (i64 label = threadIdx.x; label < problem.classes; label += blockDim.x)
        put(to + label, power(widened(given[label * problem.stride_of_classes])) * factor);
    const double of_blank = widened(given[problem.blank * problem.stride_of_classes]);
    Fine share = 0;
    for (i64 place = threadIdx.x; place < one.places; place += blockDim.x)
        if (label_at(place, one, targets, problem.blank) == problem.blank && a[place] != never)
            share += power((Fine)(a[place] + b[place] - of_blank - all));
    share = over_block<Sum, 128>(share);
    if (threadIdx.x == 0) put(to + problem.blank, (power((Fine)of_blank) - share) * factor);
    for (i64 at = threadIdx.x; at < one.labels; at += blockDim.x) {
        const i64 label = targets[one.first + at];
        if (label == problem.blank || label < 0 || label >= problem.classes || !same[2 * (one.first + at) + 1]) continue;
        const double here = widened(given[label * problem.stride_of_classes]);
        Fine shares = 0;
        i64 each = at;
        do {
            const i64 place = 2 * each + 1;
            if (a[place] != never) shares += power((Fine)(a[place] + b[place] - here - all));
            each = same[2 * (one.first + each)];
        } while (each);
        put(to + label, (power((Fine)here) - shares) * factor);
    }
}
