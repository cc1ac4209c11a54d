#include "queues.h"

#include <chrono>
#include <condition_variable>
#include <thread>
#include <vector>

// Never destroyed: threads of queues may outlive the program's last function.
static std::mutex& lock = *new std::mutex;
static std::condition_variable& news = *new std::condition_variable;
static std::vector<Queue*>& queues = *new std::vector<Queue*>;

typedef std::unique_lock<std::mutex> Held;

// What nobody is told of, such as a mark, is looked for after so long.
static const auto LOOK_EVERY = std::chrono::milliseconds(2);

static bool has_work(const Queue& queue) { return queue.has_thread || !queue.works.empty(); }

// Whether another queue has to be done first: the default stream waits for blocking ones, and the other way round.
static bool is_held_up(const Queue& queue) {
    if (!queue.is_legacy && !queue.is_blocking) return false;
    for (const Queue* other : queues)
        if (other != &queue && has_work(*other) && (queue.is_legacy ? other->is_blocking : other->is_legacy))
            return true;
    return false;
}

static void work_off(Queue* queue) {
    for (;;) {
        Work next;
        {
            Held held(lock);
            if (queue->works.empty()) {
                queue->has_thread = false;
                news.notify_all();
                return;
            }
            next = queue->works.front();
            queue->works.pop_front();
        }
        next();
        news.notify_all();
    }
}

static void append(Queue& queue, Work work) {
    queue.works.push_back(work);
    if (queue.has_thread) return;
    queue.has_thread = true;
    std::thread(work_off, &queue).detach();
}

static void append_behind_others(Queue& queue, Work work) {
    if (is_held_up(queue))
        append(queue, [&queue] {
            Held held(lock);
            while (is_held_up(queue)) news.wait_for(held, LOOK_EVERY);
        });
    append(queue, work);
}

void do_in_order(Queue& queue, Work work) {
    const Work with_the_device = [work] {
        Locked locked(device_lock);
        work();
    };
    {
        Held held(lock);
        if (has_work(queue) || is_held_up(queue)) return append_behind_others(queue, with_the_device);
    }
    with_the_device();
}

void do_by_thread(Queue& queue, Work work) {
    Held held(lock);
    append_behind_others(queue, work);
}

bool is_busy(Queue& queue) {
    Held held(lock);
    return has_work(queue);
}

void wait_until_idle(Queue& queue) {
    Held held(lock);
    while (has_work(queue)) news.wait_for(held, LOOK_EVERY);
}

void wait_until_all_idle() {
    std::vector<Queue*> all;
    {
        Held held(lock);
        all = queues;
    }
    for (Queue* each : all) wait_until_idle(*each);
}

void wait_for(const std::shared_ptr<Mark>& mark) {
    Held held(lock);
    while (!mark->is_done) news.wait_for(held, LOOK_EVERY);
}

void know(Queue& queue) {
    Held held(lock);
    queues.push_back(&queue);
}
