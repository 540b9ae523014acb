/* Two pinned threads and a clock, for the baselines in C and C++. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

static void pin(void *cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(atoi((const char *)cpu), &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) exit(3);
}

/* Nanoseconds. */
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void run(void *(*a)(void *), char *cpu_a, void *(*b)(void *), char *cpu_b) {
  pthread_t thread_a, thread_b;
  if (pthread_create(&thread_a, NULL, a, cpu_a) != 0 || pthread_create(&thread_b, NULL, b, cpu_b) != 0) exit(3);
  pthread_join(thread_a, NULL);
  pthread_join(thread_b, NULL);
}
