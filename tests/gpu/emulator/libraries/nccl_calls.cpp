// NCCL between processes of one machine. A call is queued in its stream, and done by a thread of that; a rank that
// calls something else, or is gone, makes the others wait until somebody aborts, as on hardware.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include "nccl.h"

typedef std::function<void()> Work;
extern "C" int emulated_queue_by_thread(void* stream, const Work* work);
extern "C" int cudaGetDevice(int* device);

// -- Communicators

static int join(Communicator** out, int size, const UniqueId& id, int rank) {
    if (rank < 0 || rank >= size) return INVALID_ARGUMENT;
    auto* made = new Communicator();
    made->folder = FOLDER + std::string(id.name);
    made->rank = rank;
    made->size = size;
    cudaGetDevice(&made->device);
    std::vector<Bytes> all;
    *out = made;
    return made->enter() && made->exchange("arrival", 0, Call{}, "", 0, all) ? SUCCESS : SYSTEM_ERROR;
}

EXPORT int ncclGetUniqueId(UniqueId* out) {
    static std::atomic<int> made{0};
    forget_the_dead();
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s%d-%d", PREFIX, getpid(), made++);
    return SUCCESS;
}
EXPORT int ncclCommInitRank(Communicator** out, int size, UniqueId id, int rank) { return join(out, size, id, rank); }
EXPORT int ncclCommInitRankConfig(Communicator** out, int size, UniqueId id, int rank, void*) {
    return join(out, size, id, rank);
}

EXPORT int ncclCommSplit(Communicator* whole, int color, int key, Communicator** out, void*) {
    const int wish[2] = {color, key};
    const long number = whole->splits++;
    std::vector<Bytes> all;
    if (!whole->exchange("split", number, Call{}, wish, sizeof wish, all)) return SYSTEM_ERROR;
    *out = nullptr;
    if (color < 0) return SUCCESS;
    std::vector<std::pair<int, int>> alike;  // key and rank of those with this color
    for (int rank = 0; rank < whole->size; rank++) {
        const int* its = (const int*)all[rank].data();
        if (its[0] == color) alike.push_back({its[1], rank});
    }
    std::sort(alike.begin(), alike.end());
    int rank = 0;
    while (alike[rank].second != whole->rank) rank++;
    UniqueId id{};
    const char* name = whole->folder.c_str() + strlen(FOLDER);
    snprintf(id.name, sizeof id.name, "%s-%ld-%d", name, number, color);
    return join(out, alike.size(), id, rank);
}

EXPORT int ncclCommCount(Communicator* of, int* out) { return *out = of->size, SUCCESS; }
EXPORT int ncclCommUserRank(Communicator* of, int* out) { return *out = of->rank, SUCCESS; }
EXPORT int ncclCommCuDevice(Communicator* of, int* out) { return *out = of->device, SUCCESS; }
EXPORT int ncclCommGetAsyncError(Communicator* of, int* out) {
    return *out = of->has_failed ? SYSTEM_ERROR : SUCCESS, SUCCESS;
}
EXPORT int ncclGetVersion(int* out) { return *out = 23203, SUCCESS; }
EXPORT const char* ncclGetErrorString(int result) {
    switch (result) {
        case SUCCESS: return "no error";
        case INVALID_ARGUMENT: return "invalid argument";
        case INVALID_USAGE: return "invalid usage";
        default: return "unhandled system error";
    }
}

EXPORT int ncclCommAbort(Communicator* gone) {
    gone->is_aborted = true;
    gone->forget();
    return SUCCESS;
}
EXPORT int ncclCommDestroy(Communicator* gone) {
    gone->leave();
    return SUCCESS;
}

// -- Calls, which wait for the end of a group

struct Message {
    Communicator* by;
    void* stream;
    bool is_sent;
    void* data;
    size_t size;
    int other;
};

static thread_local int groups;
static thread_local std::vector<Message> messages;
static thread_local std::vector<std::pair<void*, Work>> collectives;

static int queue(void* stream, const Work& work) {
    return emulated_queue_by_thread(stream, &work) ? SYSTEM_ERROR : SUCCESS;
}

// All are sent before one is waited for, so that ranks may send to each other.
static bool are_delivered(Communicator* by, const std::vector<Message>& some) {
    std::vector<std::string> sent;
    for (const Message& each : some)
        if (each.is_sent && !by->send(each.other, each.data, each.size, sent.emplace_back())) return false;
    for (const Message& each : some)
        if (!each.is_sent && !by->receive(each.other, each.data, each.size)) return false;
    for (const std::string& name : sent)
        if (!by->wait_until_taken(name)) return false;
    return true;
}

static int queue_messages(Communicator* by, void* stream, const std::vector<Message>& some) {
    return queue(stream, [=] {
        if (!are_delivered(by, some)) by->wait_for_abort();
    });
}

static int take(const Message& message) {
    if (message.other < 0 || message.other >= message.by->size) return INVALID_ARGUMENT;
    if (groups) return messages.push_back(message), SUCCESS;
    return queue_messages(message.by, message.stream, {message});
}

EXPORT int ncclGroupStart() { return groups++, SUCCESS; }
EXPORT int ncclGroupEnd() {
    if (!groups) return INVALID_USAGE;
    if (--groups) return SUCCESS;
    int result = SUCCESS;
    for (auto& [stream, work] : collectives) result = std::max(result, queue(stream, work));
    collectives.clear();
    std::map<std::pair<Communicator*, void*>, std::vector<Message>> together;
    for (const Message& each : messages) together[{each.by, each.stream}].push_back(each);
    messages.clear();
    for (auto& [where, some] : together)
        result = std::max(result, queue_messages(where.first, where.second, some));
    return result;
}

EXPORT int ncclSend(const void* data, size_t count, int type, int to, Communicator* by, void* stream) {
    return take({by, stream, true, (void*)data, count * width_of(type), to});
}
EXPORT int ncclRecv(void* data, size_t count, int type, int from, Communicator* by, void* stream) {
    return take({by, stream, false, data, count * width_of(type), from});
}

// One collective call: what this rank gives, and what is done with what all gave.
static int collect(Communicator* by, void* stream, Call call, const void* data, size_t size,
                   std::function<void(const std::vector<Bytes>&)> use) {
    const Work work = [=] {
        std::vector<Bytes> all;
        if (!by->exchange("call", by->calls++, call, data, size, all)) return by->wait_for_abort();
        use(all);
    };
    if (groups) return collectives.push_back({stream, work}), SUCCESS;
    return queue(stream, work);
}

enum Kind { ALL_REDUCE = 1, REDUCE, BROADCAST, ALL_GATHER, REDUCE_SCATTER };

EXPORT int ncclAllReduce(const void* data, void* result, size_t count, int type, int operation, Communicator* by,
                         void* stream) {
    return collect(by, stream, {ALL_REDUCE, type, operation, 0, (long)count}, data, count * width_of(type),
                   [=](const std::vector<Bytes>& all) { combine(type, operation, all, result, 0, count); });
}
EXPORT int ncclReduce(const void* data, void* result, size_t count, int type, int operation, int root, Communicator* by,
                      void* stream) {
    return collect(by, stream, {REDUCE, type, operation, root, (long)count}, data, count * width_of(type),
                   [=](const std::vector<Bytes>& all) {
                       if (by->rank == root) combine(type, operation, all, result, 0, count);
                   });
}
EXPORT int ncclBroadcast(const void* data, void* result, size_t count, int type, int root, Communicator* by,
                         void* stream) {
    const size_t size = count * width_of(type);
    return collect(by, stream, {BROADCAST, type, 0, root, (long)count}, data, by->rank == root ? size : 0,
                   [=](const std::vector<Bytes>& all) { memcpy(result, all[root].data(), size); });
}
EXPORT int ncclBcast(void* data, size_t count, int type, int root, Communicator* by, void* stream) {
    return ncclBroadcast(data, data, count, type, root, by, stream);
}
EXPORT int ncclAllGather(const void* data, void* result, size_t count, int type, Communicator* by, void* stream) {
    const size_t size = count * width_of(type);
    return collect(by, stream, {ALL_GATHER, type, 0, 0, (long)count}, data, size, [=](const std::vector<Bytes>& all) {
        for (size_t rank = 0; rank < all.size(); rank++) memcpy((char*)result + rank * size, all[rank].data(), size);
    });
}
EXPORT int ncclReduceScatter(const void* data, void* result, size_t count, int type, int operation, Communicator* by,
                             void* stream) {
    return collect(
        by, stream, {REDUCE_SCATTER, type, operation, 0, (long)count}, data, by->size * count * width_of(type),
        [=](const std::vector<Bytes>& all) { combine(type, operation, all, result, by->rank * count, count); });
}
