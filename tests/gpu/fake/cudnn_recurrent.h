// cuDNN's functions for recurrent layers: one layer, in one direction, packed, in doubles. Included by `cudnn_on_cpu.cpp`.
//
// As in cuDNN, what backward needs is in memory that the caller keeps, and the pass to the input changes it for that to
// the weights. Where the weights are is this library's own business: a GRU's have gaps.

#ifdef CHECK_SIGNATURES
#define RNN cudnnRNNDescriptor_t
#define ROWS cudnnRNNDataDescriptor_t
#define DROPOUT cudnnDropoutDescriptor_t
#define RNN_ALGO cudnnRNNAlgo_t
#define CELL cudnnRNNMode_t
#define BIASES cudnnRNNBiasMode_t
#define DIRECTION cudnnDirectionMode_t
#define INPUT_MODE cudnnRNNInputMode_t
#define LAYOUT cudnnRNNDataLayout_t
#define FORWARD_MODE cudnnForwardMode_t
#define ADDING cudnnWgradMode_t
#else
typedef void *RNN, *ROWS, *DROPOUT;
typedef int RNN_ALGO, CELL, BIASES, DIRECTION, INPUT_MODE, LAYOUT, FORWARD_MODE, ADDING;
#endif

enum { RELU = 0, TANH = 1, LSTM = 2, GRU = 3 };

// Layers of so many features, or units, are what this library does not have.
enum { REFUSED = 13 };

struct Dropout { float rate = -1; };
struct Rows { int kind, width; std::vector<int> lengths; };
struct Layer {
    int cell, kind, features, hidden, gates;
    bool has_biases;

    int gap() const { return cell == GRU ? 3 : 0; }
    ptrdiff_t matrix(int id) const {
        const ptrdiff_t own = (ptrdiff_t)hidden * features + gap(), others = (ptrdiff_t)hidden * hidden + gap();
        return id < gates ? id * own : gates * own + (id - gates) * others;
    }
    ptrdiff_t bias(int id) const { return matrix(2 * gates) + (ptrdiff_t)id * (hidden + gap()); }
    ptrdiff_t weights() const { return has_biases ? bias(2 * gates) : matrix(2 * gates); }
    int kept() const { return 5 * hidden; }  // doubles of a row in the caller's memory
};
static Layer& layer(const void* it) { return *(Layer*)it; }
static Rows& rows(const void* it) { return *(Rows*)it; }

// The rows of a step, and where that step's begin.
struct Steps {
    std::vector<int> size, start;
    explicit Steps(const std::vector<int>& lengths) {
        int total = 0;
        for (int t = 0; t < lengths[0]; t++) {
            int count = 0;
            while (count < (int)lengths.size() && lengths[count] > t) count++;
            size.push_back(count); start.push_back(total);
            total += count;
        }
    }
    int all() const { return start.back() + size.back(); }
};

static double* doubles(void* there) { return (double*)((char*)there - SHIFT); }
static size_t bytes_of(int kind) { return kind == F32 ? 4 : kind == F64 ? 8 : 2; }

// Everything a pass reads and writes. States of what there is none of are null.
struct Pass {
    Layer how;
    Steps steps;
    int kind, batch;
    const void *x, *y, *weights;
    double* kept;

    double weight(int id, int row, int column) const {
        const int width = id < how.gates ? how.features : how.hidden;
        return get(kind, weights, how.matrix(id) + (ptrdiff_t)row * width + column);
    }
    double bias(int id, int row) const { return how.has_biases ? get(kind, weights, how.bias(id) + row) : 0; }
    double state(const void* first, const void* later, int t, int b, int j) const {
        return t ? get(kind, later, (ptrdiff_t)(steps.start[t - 1] + b) * how.hidden + j) : get(kind, first, (ptrdiff_t)b * how.hidden + j);
    }
    double* row(int t, int b) const { return kept + (ptrdiff_t)(steps.start[t] + b) * how.kept(); }
};

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void walk(const Pass& p, void* y, const void* hx, void* hy, const void* cx, void* cy) {
    const int H = p.how.hidden, G = p.how.gates;
    std::vector<double> own(4), other(4), cells((size_t)p.batch * H);
    for (int b = 0; b < p.batch; b++) for (int j = 0; j < H; j++) cells[b * H + j] = cx ? get(p.kind, cx, b * H + j) : 0;
    for (size_t t = 0; t < p.steps.size.size(); t++) for (int b = 0; b < p.steps.size[t]; b++) for (int j = 0; j < H; j++) {
        const ptrdiff_t at = p.steps.start[t] + b;
        for (int k = 0; k < G; k++) {
            own[k] = p.bias(k, j); other[k] = p.bias(G + k, j);
            for (int i = 0; i < p.how.features; i++) own[k] += p.weight(k, j, i) * get(p.kind, p.x, at * p.how.features + i);
            for (int i = 0; i < H; i++) other[k] += p.weight(G + k, j, i) * p.state(hx, y, t, b, i);
        }
        double* kept = p.kept ? p.row(t, b) : nullptr;
        double made;
        if (p.how.cell == LSTM) {
            const double in = sigmoid(own[0] + other[0]), forget = sigmoid(own[1] + other[1]);
            const double fresh = tanh(own[2] + other[2]), out = sigmoid(own[3] + other[3]);
            double& cell = cells[b * H + j];
            cell = forget * cell + in * fresh;
            made = out * tanh(cell);
            if (kept) { kept[j] = in; kept[H + j] = forget; kept[2 * H + j] = fresh; kept[3 * H + j] = out; kept[4 * H + j] = cell; }
        } else if (p.how.cell == GRU) {
            const double reset = sigmoid(own[0] + other[0]), update = sigmoid(own[1] + other[1]);
            const double fresh = tanh(own[2] + reset * other[2]);
            made = (1 - update) * fresh + update * p.state(hx, y, t, b, j);
            if (kept) { kept[j] = reset; kept[H + j] = update; kept[2 * H + j] = fresh; kept[3 * H + j] = other[2]; }
        } else {
            made = own[0] + other[0];
            made = p.how.cell == TANH ? tanh(made) : made > 0 ? made : 0;
        }
        set(p.kind, y, at * H + j, made);
        const bool is_last = t + 1 == p.steps.size.size() || b >= p.steps.size[t + 1];
        if (is_last && hy) set(p.kind, hy, b * H + j, made);
        if (is_last && cy) set(p.kind, cy, b * H + j, cells[b * H + j]);
    }
}

// Leaves in the kept memory the slopes of the input's gates, and of a GRU's last one of the state's.
static void walk_back(const Pass& p, const void* dy, void* dx, const void* hx, const void* dhy, void* dhx, const void* cx, const void* dcy, void* dcx) {
    const int H = p.how.hidden, G = p.how.gates, F = p.how.features;
    std::vector<double> slope((size_t)p.batch * H), of_cell(slope);
    for (size_t n = 0; n < slope.size(); n++) {
        slope[n] = dhy ? get(p.kind, dhy, n) : 0;
        of_cell[n] = dcy ? get(p.kind, dcy, n) : 0;
    }
    for (int t = p.steps.size.size() - 1; t >= 0; t--) for (int b = 0; b < p.steps.size[t]; b++) {
        const ptrdiff_t at = p.steps.start[t] + b;
        double *kept = p.row(t, b), *before = t ? p.row(t - 1, b) : nullptr;
        std::vector<double> passed(H);
        for (int j = 0; j < H; j++) {
            const double g = slope[b * H + j] + get(p.kind, dy, at * H + j);
            if (p.how.cell == LSTM) {
                const double in = kept[j], forget = kept[H + j], fresh = kept[2 * H + j], out = kept[3 * H + j], bounded = tanh(kept[4 * H + j]);
                const double earlier = before ? before[4 * H + j] : get(p.kind, cx, b * H + j);
                const double cell = of_cell[b * H + j] + g * out * (1 - bounded * bounded);
                kept[j] = cell * fresh * in * (1 - in);
                kept[H + j] = cell * earlier * forget * (1 - forget);
                kept[2 * H + j] = cell * in * (1 - fresh * fresh);
                kept[3 * H + j] = g * bounded * out * (1 - out);
                of_cell[b * H + j] = cell * forget;
            } else if (p.how.cell == GRU) {
                const double reset = kept[j], update = kept[H + j], fresh = kept[2 * H + j];
                const double of_fresh = g * (1 - update) * (1 - fresh * fresh);
                kept[j] = of_fresh * kept[3 * H + j] * reset * (1 - reset);
                kept[H + j] = g * (p.state(hx, p.y, t, b, j) - fresh) * update * (1 - update);
                kept[2 * H + j] = of_fresh;
                kept[3 * H + j] = of_fresh * reset;
                passed[j] = g * update;
            } else {
                const double y = get(p.kind, p.y, at * H + j);
                kept[j] = g * (p.how.cell == TANH ? 1 - y * y : y > 0);
            }
        }
        for (int i = 0; i < F; i++) {
            double sum = 0;
            for (int k = 0; k < G; k++) for (int j = 0; j < H; j++) sum += p.weight(k, j, i) * kept[k * H + j];
            set(p.kind, dx, at * F + i, sum);
        }
        for (int i = 0; i < H; i++) {
            double sum = passed[i];
            for (int k = 0; k < G; k++) for (int j = 0; j < H; j++)
                sum += p.weight(G + k, j, i) * kept[(p.how.cell == GRU && k == 2 ? 3 : k) * H + j];
            slope[b * H + i] = sum;
        }
    }
    for (size_t n = 0; n < slope.size(); n++) {
        if (dhx) set(p.kind, dhx, n, slope[n]);
        if (dcx) set(p.kind, dcx, n, of_cell[n]);
    }
}

static void add_weights(const Pass& p, const void* hx, void* dw) {
    const int H = p.how.hidden, G = p.how.gates, F = p.how.features;
    std::vector<double> sum(p.how.weights());
    for (size_t n = 0; n < sum.size(); n++) sum[n] = get(p.kind, dw, n);
    for (size_t t = 0; t < p.steps.size.size(); t++) for (int b = 0; b < p.steps.size[t]; b++) for (int k = 0; k < G; k++) for (int j = 0; j < H; j++) {
        const double own = p.row(t, b)[k * H + j], other = p.row(t, b)[(p.how.cell == GRU && k == 2 ? 3 : k) * H + j];
        for (int i = 0; i < F; i++) sum[p.how.matrix(k) + (ptrdiff_t)j * F + i] += own * get(p.kind, p.x, (ptrdiff_t)(p.steps.start[t] + b) * F + i);
        for (int i = 0; i < H; i++) sum[p.how.matrix(G + k) + (ptrdiff_t)j * H + i] += other * p.state(hx, p.y, t, b, i);
        if (p.how.has_biases) { sum[p.how.bias(k) + j] += own; sum[p.how.bias(G + k) + j] += other; }
    }
    for (size_t n = 0; n < sum.size(); n++) set(p.kind, dw, n, sum[n]);
}

// Whether what is called belongs together, and there is the room that was asked for.
static bool goes(const Layer& how, const Rows& x, const Rows& y, const Tensor& h, size_t weights, const void* w, size_t work, const void* room, size_t reserve, const void* kept) {
    const int batch = x.lengths.size();
    const bool is_state = h.dims == 3 && h.size[0] == 1 && h.size[1] == batch && h.size[2] == how.hidden && h.step[1] == how.hidden && h.step[2] == 1;
    const bool fit = x.kind == how.kind && y.kind == how.kind && h.kind == how.kind && x.width == how.features && y.width == how.hidden && x.lengths == y.lengths;
    const size_t needed = Steps(x.lengths).all() * how.kept() * sizeof(double);
    return is_state && fit && w && weights == how.weights() * bytes_of(how.kind) && room && work == 256 && (!kept || reserve == needed);
}
static Pass pass_of(const Layer& how, const Rows& x, const void* px, const void* py, const void* w, void* kept) {
    return {how, Steps(x.lengths), how.kind, (int)x.lengths.size(), px, py, w, kept ? doubles(kept) : nullptr};
}

extern "C" {
STATUS cudnnCreateDropoutDescriptor(DROPOUT* out) { return give(out, new Dropout()); }
STATUS cudnnDestroyDropoutDescriptor(DROPOUT it) { delete (Dropout*)it; return DONE; }
STATUS cudnnSetDropoutDescriptor(DROPOUT it, HANDLE handle, float rate, void* states, size_t bytes, unsigned long long) {
    if (!handle || (rate && (!states || !bytes))) return BAD;
    ((Dropout*)it)->rate = rate;
    return DONE;
}
STATUS cudnnCreateRNNDescriptor(RNN* out) { return give(out, new Layer()); }
STATUS cudnnDestroyRNNDescriptor(RNN it) { delete (Layer*)it; return DONE; }
STATUS cudnnGetRNNDescriptor_v8(RNN, RNN_ALGO*, CELL*, BIASES*, DIRECTION*, INPUT_MODE*, KIND*, KIND*, MATH*, int32_t*, int32_t*, int32_t*, int32_t*, DROPOUT*, uint32_t*) { return BAD; }
STATUS cudnnSetRNNDescriptor_v8(RNN it, RNN_ALGO algo, CELL cell, BIASES biases, DIRECTION direction, INPUT_MODE mode, KIND kind, KIND computed, MATH, int32_t features, int32_t hidden, int32_t projected, int32_t layers, DROPOUT dropout, uint32_t flags) {
    const bool is_plain = !(int)algo && !(int)direction && !(int)mode && layers == 1 && projected == hidden && !flags;
    if (!is_plain || ((int)biases && (int)biases != 2) || (int)computed != ((int)kind == 1) || !dropout || ((Dropout*)dropout)->rate) return BAD;
    layer(it) = {(int)cell, (int)kind, features, hidden, (int)cell == LSTM ? 4 : (int)cell == GRU ? 3 : 1, (int)biases == 2};
    return DONE;
}
STATUS cudnnCreateRNNDataDescriptor(ROWS* out) { return give(out, new Rows()); }
STATUS cudnnDestroyRNNDataDescriptor(ROWS it) { delete (Rows*)it; return DONE; }
STATUS cudnnGetRNNDataDescriptor(ROWS, KIND*, LAYOUT*, int*, int*, int*, int, int*, void*) { return BAD; }
STATUS cudnnSetRNNDataDescriptor(ROWS it, KIND kind, LAYOUT layout, int longest, int batch, int width, const int* lengths, void*) {
    if ((int)layout != 1 || batch < 1 || lengths[0] != longest) return BAD;
    for (int n = 0; n < batch; n++) if (lengths[n] < 1 || (n && lengths[n] > lengths[n - 1])) return BAD;
    rows(it) = {(int)kind, width, {lengths, lengths + batch}};
    return DONE;
}
STATUS cudnnGetRNNWeightSpaceSize(HANDLE handle, RNN it, size_t* bytes) {
    *bytes = layer(it).weights() * bytes_of(layer(it).kind);
    return handle ? DONE : BAD;
}
STATUS cudnnGetRNNTempSpaceSizes(HANDLE handle, RNN it, FORWARD_MODE mode, ROWS x, size_t* work, size_t* reserve) {
    *work = 256;
    *reserve = (int)mode ? Steps(rows(x).lengths).all() * layer(it).kept() * sizeof(double) : 0;
    return handle && layer(it).hidden != REFUSED ? DONE : BAD;
}
STATUS cudnnGetRNNWeightParams(HANDLE handle, RNN it, int32_t number, size_t bytes, const void* weights, int32_t id, TENSOR, void** matrix, TENSOR, void** bias) {
    const Layer& how = layer(it);
    const size_t size = bytes_of(how.kind);
    if (!handle || number || id < 0 || id >= 2 * how.gates || !weights || bytes != how.weights() * size) return BAD;
    *matrix = (char*)weights + how.matrix(id) * size;
    *bias = how.has_biases ? (char*)weights + how.bias(id) * size : nullptr;
    return DONE;
}
STATUS cudnnRNNForward(HANDLE handle, RNN it, FORWARD_MODE mode, const int32_t*, ROWS x, const void* px, ROWS y, void* py, TENSOR h, const void* hx, void* hy, TENSOR c, const void* cx, void* cy, size_t weights, const void* w, size_t work, void* room, size_t reserve, void* kept) {
    const bool is_whole = px && py && hx && ((layer(it).cell == LSTM) == (c && cx)) && (!(int)mode || kept);
    if (layer(it).features == REFUSED) return BAD;
    if (!is_whole || !goes(layer(it), rows(x), rows(y), tensor(h), weights, w, work, room, reserve, kept)) return BAD;
    const Work done = [=, pass = pass_of(layer(it), rows(x), px, py, w, kept)] { walk(pass, py, hx, hy, cx, cy); };
    return queued(((Handle*)handle)->stream, done) ? DONE : BAD;
}
STATUS cudnnRNNBackwardData_v8(HANDLE handle, RNN it, const int32_t*, ROWS y, const void* py, const void* dy, ROWS x, void* dx, TENSOR h, const void* hx, const void* dhy, void* dhx, TENSOR c, const void* cx, const void* dcy, void* dcx, size_t weights, const void* w, size_t work, void* room, size_t reserve, void* kept) {
    const bool is_whole = py && dy && dx && hx && kept && ((layer(it).cell == LSTM) == (c && cx));
    if (!is_whole || !goes(layer(it), rows(x), rows(y), tensor(h), weights, w, work, room, reserve, kept)) return BAD;
    const Work done = [=, pass = pass_of(layer(it), rows(x), nullptr, py, w, kept)] { walk_back(pass, dy, dx, hx, dhy, dhx, cx, dcy, dcx); };
    return queued(((Handle*)handle)->stream, done) ? DONE : BAD;
}
STATUS cudnnRNNBackwardWeights_v8(HANDLE handle, RNN it, ADDING how, const int32_t*, ROWS x, const void* px, TENSOR h, const void* hx, ROWS y, const void* py, size_t weights, void* dw, size_t work, void* room, size_t reserve, void* kept) {
    if ((int)how || !px || !py || !hx || !kept || !goes(layer(it), rows(x), rows(y), tensor(h), weights, dw, work, room, reserve, kept)) return BAD;
    const Work done = [=, pass = pass_of(layer(it), rows(x), px, py, nullptr, kept)] { add_weights(pass, hx, dw); };
    return queued(((Handle*)handle)->stream, done) ? DONE : BAD;
}
}
