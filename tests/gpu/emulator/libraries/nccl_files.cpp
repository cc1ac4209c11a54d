#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nccl.h"

static const int LOOK_EVERY_US = 200;

static bool is_file(const std::string& name) { return access(name.c_str(), F_OK) == 0; }

static void remove_folder(const std::string& folder) {
    std::error_code nobody_minds;
    std::filesystem::remove_all(folder, nobody_minds);
}

// -- Files

// Whether the file appears, whole: it is written under another name, and renamed.
bool Communicator::write(const std::string& name, const Call& call, const void* data, size_t size_bytes) {
    const std::string unfinished = name + ".unfinished";
    FILE* file = fopen(unfinished.c_str(), "wb");
    if (!file) return failed_or_gone(name);
    const bool is_written =
        fwrite(&call, sizeof call, 1, file) == 1 && fwrite(data, 1, size_bytes, file) == size_bytes;
    const bool is_whole = fclose(file) == 0 && is_written;
    return (is_whole && rename(unfinished.c_str(), name.c_str()) == 0) || failed_or_gone(name);
}

bool Communicator::read(const std::string& name, Call& call, Bytes& data) {
    FILE* file = fopen(name.c_str(), "rb");
    if (!file) return failed_or_gone(name);
    struct stat facts;
    fstat(fileno(file), &facts);
    data.resize(facts.st_size - sizeof call);
    const bool is_whole =
        fread(&call, sizeof call, 1, file) == 1 && fread(data.data(), 1, data.size(), file) == data.size();
    fclose(file);
    return is_whole || failed(name);
}

// False, and an error that the program is told of when it asks.
bool Communicator::failed(const std::string& name) {
    fprintf(stderr, "emulated NCCL: %s: %s\n", name.c_str(), strerror(errno));
    has_failed = true;
    return false;
}

// The same, unless another rank has aborted, and all files are gone.
bool Communicator::failed_or_gone(const std::string& name) { return is_file(folder) && failed(name); }

bool Communicator::wait_for_file(const std::string& name, bool is_there) {
    while (is_file(name) != is_there) {
        if (is_aborted) return false;
        usleep(LOOK_EVERY_US);
    }
    return true;
}

void Communicator::wait_for_abort() {
    while (!is_aborted) usleep(LOOK_EVERY_US);
}

// -- Exchanges

bool Communicator::exchange(const char* room, long number, const Call& call, const void* data, size_t size_bytes,
                            std::vector<Bytes>& all) {
    auto name_of = [&](long of, int by) { return folder + "/" + room + std::to_string(of) + "-" + std::to_string(by); };
    if (!write(name_of(number, rank), call, data, size_bytes)) return false;
    all.resize(size);
    for (int other = 0; other < size; other++) {
        Call its{};
        const std::string name = name_of(number, other);
        if (!wait_for_file(name, true) || !read(name, its, all[other])) return false;
        if (memcmp(&its, &call, sizeof call)) return false;  // NCCL would hang, or give wrong numbers
    }
    // All have this number's files, so that all are done with the last number's.
    if (number > 0) unlink(name_of(number - 1, rank).c_str());
    return true;
}

static std::string message_of(const std::string& folder, int from, int to, long number) {
    return folder + "/message" + std::to_string(from) + "-" + std::to_string(to) + "-" + std::to_string(number);
}

bool Communicator::send(int to, const void* data, size_t size_bytes, std::string& message) {
    message = message_of(folder, rank, to, sent[to]++);
    return write(message, Call{}, data, size_bytes);
}

bool Communicator::receive(int from, void* data, size_t size_bytes) {
    const std::string name = message_of(folder, from, rank, received[from]++);
    Call call{};
    Bytes found;
    if (!wait_for_file(name, true) || !read(name, call, found) || found.size() != size_bytes) return false;
    memcpy(data, found.data(), size_bytes);
    unlink(name.c_str());
    return true;
}

bool Communicator::wait_until_taken(const std::string& message) { return wait_for_file(message, false); }

// -- Folders: each rank has a lock on its communicator's, which the kernel takes back however the rank ends.

bool Communicator::enter() {
    for (;;) {
        if (mkdir(folder.c_str(), 0700) && errno != EEXIST) return failed(folder);
        held = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (held < 0 && errno == ENOENT) continue;  // it was taken for a dead one's, as it may be below
        if (held < 0 || flock(held, LOCK_SH)) return failed(folder);
        struct stat own, there;
        fstat(held, &own);
        if (!stat(folder.c_str(), &there) && own.st_ino == there.st_ino) return true;
        release();
    }
}

void Communicator::release() {
    if (held >= 0) close(held);
    held = -1;
}

void forget_the_dead() {
    std::error_code nobody_minds;
    for (const auto& each : std::filesystem::directory_iterator(FOLDER, nobody_minds)) {
        if (each.path().filename().string().rfind(PREFIX, 0) != 0) continue;
        const int found = open(each.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (found < 0) continue;
        if (flock(found, LOCK_EX | LOCK_NB) == 0) remove_folder(each.path());
        close(found);
    }
}

void Communicator::leave() {
    const bool is_told = write(folder + "/gone-" + std::to_string(rank), Call{}, "", 0);
    release();
    if (!is_told) return;
    for (int other = 0; other < size; other++)
        if (!is_file(folder + "/gone-" + std::to_string(other))) return;
    remove_folder(folder);
}

void Communicator::forget() {
    release();
    remove_folder(folder);
}
