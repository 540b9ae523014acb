// Messages of 64 bytes through Boost's spsc_queue, streamed as bench/coordination/ring-worker.ts does.
// boost-spsc CPU-A CPU-B ROUNDS MESSAGES CAPACITY: prints the nanoseconds of a message, of each round.
#include "threads.h"
#include <boost/lockfree/spsc_queue.hpp>

struct Message {
  unsigned words[16];
};

static boost::lockfree::spsc_queue<Message> *queue;
static unsigned long rounds, messages;

static void *produce(void *cpu) {
  pin(cpu);
  Message message = {};
  for (unsigned long sent = 0; sent < rounds * messages; sent++) {
    message.words[0] = message.words[15] = sent;
    while (!queue->push(message)) PAUSE();
  }
  return nullptr;
}

static void *consume(void *cpu) {
  pin(cpu);
  Message message;
  unsigned number = 0;
  for (unsigned long round = 0; round < rounds; round++) {
    double start = now();
    for (unsigned long received = 0; received < messages; received++, number++) {
      while (!queue->pop(message)) PAUSE();
      if (message.words[0] != number || message.words[15] != number) exit(4);
    }
    printf("%f\n", (now() - start) / messages);
  }
  return nullptr;
}

int main(int count, char **arguments) {
  if (count != 6) return 2;
  rounds = strtoul(arguments[3], nullptr, 10);
  messages = strtoul(arguments[4], nullptr, 10);
  queue = new boost::lockfree::spsc_queue<Message>(strtoul(arguments[5], nullptr, 10));
  run(produce, arguments[1], consume, arguments[2]);
}
