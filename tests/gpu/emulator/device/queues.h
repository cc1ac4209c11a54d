// Queues of streams: work is done at once where nothing is before it, and by a thread where something takes its time,
// as an exchange between ranks does.

#pragma once

#include <atomic>
#include <deque>
#include <memory>

#include "device.h"

// A mark in a queue: done when all that was before it is.
struct Mark {
    std::atomic<bool> is_done{false};
    double milliseconds = 0;
};

struct Queue {
    bool is_legacy = false;  // the default stream, which waits for the blocking ones, and they for it
    bool is_blocking = true;
    std::deque<Work> works;   // not begun
    bool has_thread = false;  // which does them
};

// Does ordinary work, or has it done behind what is before it.
void do_in_order(Queue& queue, Work work);
// Has work done by a thread, which may take its time; it does not hold the device.
void do_by_thread(Queue& queue, Work work);

bool is_busy(Queue& queue);
void wait_until_idle(Queue& queue);
void wait_for(const std::shared_ptr<Mark>& mark);
// Queues that others look at: all streams.
void know(Queue& queue);
