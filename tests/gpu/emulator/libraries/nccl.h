// What NCCL's functions take, and how the emulated ranks of one machine meet: what each sends is a file that others
// read.

#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

enum Result { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };
enum Operation { SUM, PROD, MAX, MIN, AVG };

struct UniqueId {
    char name[128];
};
typedef std::vector<char> Bytes;

// What all ranks have to call alike.
struct Call {
    int kind, type, operation, root;
    long count;
};

struct Communicator {
    std::string folder;
    int rank, size, device;
    std::atomic<long> calls{0}, splits{0};
    std::atomic<bool> is_aborted{false};
    std::map<int, long> sent, received;  // messages so far, by the other rank

    // What every rank gives in its call of this number; false after an abort, which alone ends ranks that call
    // something else.
    bool exchange(const char* room, long number, const Call& call, const void* data, size_t size_bytes,
                  std::vector<Bytes>& all);
    // Sends and receives a message; the end of a send is waited for separately. False after an abort.
    std::string send(int to, const void* data, size_t size_bytes);
    bool receive(int from, void* data, size_t size_bytes);
    bool wait_until_taken(const std::string& message);
    // Nothing more is called by this rank; the last one that leaves takes the files away.
    void leave();
    // Takes them away at once: no rank can use them after an abort.
    void forget();

private:
    bool wait_for_file(const std::string& name, bool is_there);
    bool wait_for_abort();
};

size_t width_of(int type);
// The elements from `first` on of what all ranks gave, combined in the order of ranks.
void combine(int type, int operation, const std::vector<Bytes>& all, void* result, long first, long count);
