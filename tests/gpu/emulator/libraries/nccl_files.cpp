#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "nccl.h"

static const int LOOK_EVERY_US = 200;

static bool is_file(const std::string& name) { return access(name.c_str(), F_OK) == 0; }

// Appears whole: written under another name, and renamed.
static void write_file(const std::string& name, const Call& call, const void* data, size_t size) {
    const std::string unfinished = name + ".unfinished";
    FILE* file = fopen(unfinished.c_str(), "wb");
    if (!file) return;  // another rank has aborted, and the files are gone
    fwrite(&call, sizeof call, 1, file);
    fwrite(data, 1, size, file);
    fclose(file);
    rename(unfinished.c_str(), name.c_str());
}

static Bytes read_file(const std::string& name, Call& call) {
    FILE* file = fopen(name.c_str(), "rb");
    if (!file) return {};
    struct stat facts;
    fstat(fileno(file), &facts);
    Bytes data(facts.st_size - sizeof call);
    const bool is_whole =
        fread(&call, sizeof call, 1, file) == 1 && fread(data.data(), 1, data.size(), file) == data.size();
    fclose(file);
    if (!is_whole) fprintf(stderr, "emulated NCCL: %s is not whole\n", name.c_str());
    return data;
}

bool Communicator::wait_for_file(const std::string& name, bool is_there) {
    while (is_file(name) != is_there) {
        if (is_aborted) return false;
        usleep(LOOK_EVERY_US);
    }
    return true;
}

bool Communicator::wait_for_abort() {
    while (!is_aborted) usleep(LOOK_EVERY_US);
    return false;
}

bool Communicator::exchange(const char* room, long number, const Call& call, const void* data, size_t size_bytes,
                            std::vector<Bytes>& all) {
    auto name_of = [&](long of, int by) { return folder + "/" + room + std::to_string(of) + "-" + std::to_string(by); };
    write_file(name_of(number, rank), call, data, size_bytes);
    all.resize(size);
    for (int other = 0; other < size; other++) {
        if (!wait_for_file(name_of(number, other), true)) return false;
        Call its{};
        all[other] = read_file(name_of(number, other), its);
        if (memcmp(&its, &call, sizeof call)) return wait_for_abort();  // NCCL would hang, or give wrong numbers
    }
    // All have this number's files, so that all are done with the last number's.
    if (number > 0) unlink(name_of(number - 1, rank).c_str());
    return true;
}

static std::string message_of(const std::string& folder, int from, int to, long number) {
    return folder + "/message" + std::to_string(from) + "-" + std::to_string(to) + "-" + std::to_string(number);
}

std::string Communicator::send(int to, const void* data, size_t size_bytes) {
    const std::string name = message_of(folder, rank, to, sent[to]++);
    write_file(name, Call{}, data, size_bytes);
    return name;
}

bool Communicator::receive(int from, void* data, size_t size_bytes) {
    const std::string name = message_of(folder, from, rank, received[from]++);
    if (!wait_for_file(name, true)) return false;
    Call call{};
    const Bytes found = read_file(name, call);
    if (found.size() != size_bytes) return wait_for_abort();
    memcpy(data, found.data(), size_bytes);
    unlink(name.c_str());
    return true;
}

bool Communicator::wait_until_taken(const std::string& message) { return wait_for_file(message, false); }

void Communicator::leave() {
    write_file(folder + "/gone-" + std::to_string(rank), Call{}, "", 0);
    for (int other = 0; other < size; other++)
        if (!is_file(folder + "/gone-" + std::to_string(other))) return;
    forget();
}

void Communicator::forget() {
    std::error_code nobody_minds;
    std::filesystem::remove_all(folder, nobody_minds);
}
