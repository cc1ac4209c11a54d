// What NCCL's functions take, and how the emulated ranks of one machine meet: what each sends is a file that others
// read.

#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

// Where the folders of communicators are, and how their names begin.
static const char FOLDER[] = "/dev/shm/", PREFIX[] = "emulated-nccl-";

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
    std::atomic<bool> is_aborted{false}, has_failed{false};
    std::map<int, long> sent, received;  // messages so far, by the other rank

    // Makes the files' folder, where no other rank has; it is this rank's until it leaves or ends, however it does.
    bool enter();
    // What every rank gives in its call of this number. False after an abort, and where others call something else or
    // files fail: then the stream has to be held up.
    bool exchange(const char* room, long number, const Call& call, const void* data, size_t size_bytes,
                  std::vector<Bytes>& all);
    // Sends and receives a message, named by the first; that it has been taken is waited for separately. False as above.
    bool send(int to, const void* data, size_t size_bytes, std::string& message);
    bool receive(int from, void* data, size_t size_bytes);
    bool wait_until_taken(const std::string& message);
    // What could not go on, nobody else's work goes on behind either.
    void wait_for_abort();
    // Nothing more is called by this rank; the last one that leaves takes the files away.
    void leave();
    // Takes them away at once: no rank can use them after an abort.
    void forget();

private:
    int held = -1;  // the folder, locked
    bool wait_for_file(const std::string& name, bool is_there);
    bool write(const std::string& name, const Call& call, const void* data, size_t size_bytes);
    bool read(const std::string& name, Call& call, Bytes& data);
    bool failed(const std::string& name);
    bool failed_or_gone(const std::string& name);
    void release();
};

// Takes away the files of communicators whose ranks have all ended without leaving.
void forget_the_dead();

size_t width_of(int type);
// The elements from `first` on of what all ranks gave, combined in the order of ranks.
void combine(int type, int operation, const std::vector<Bytes>& all, void* result, long first, long count);
