/* The line of `line_rtt_ns` (src/machine/host/ping-pong.ts) in C: two pinned threads pass one line back and forth, or
 * with LINES = 2, a line each way.
 * line CPU-A CPU-B ROUNDS TRIPS LINES: prints the nanoseconds of a round trip, of each round. */
#include "threads.h"
#include <stdatomic.h>

/* Words of two lines, which are so far apart that no processor fetches them together. */
static _Alignas(256) _Atomic unsigned words[2][64];
static _Atomic unsigned *there = words[0], *back;
static unsigned long rounds, trips;

static void await(_Atomic unsigned *line, unsigned value) {
  while (atomic_load_explicit(line, memory_order_acquire) != value) PAUSE();
}

static void *pong(void *cpu) {
  pin(cpu);
  for (unsigned value = 1; value < 2 * rounds * trips; value += 2) {
    await(there, value);
    atomic_store_explicit(back, value + 1, memory_order_release);
  }
  return NULL;
}

static void *ping(void *cpu) {
  pin(cpu);
  unsigned value = 1;
  for (unsigned long round = 0; round < rounds; round++) {
    double start = now();
    for (unsigned long trip = 0; trip < trips; trip++, value += 2) {
      atomic_store_explicit(there, value, memory_order_release);
      await(back, value + 1);
    }
    printf("%f\n", (now() - start) / trips);
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 6) return 2;
  rounds = strtoul(arguments[3], NULL, 10);
  trips = strtoul(arguments[4], NULL, 10);
  back = words[strtoul(arguments[5], NULL, 10) == 2];
  run(ping, arguments[1], pong, arguments[2]);
}
