// What the emulated driver keeps: its devices, what is allocated on them, and how often it was called.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <mutex>

#include "gpus.h"

struct Device {
  Gpu gpu;
  size_t used = 0, peak = 0;
  bool has_context = false;
  bool take(size_t bytes);
};

struct Counts {
  std::atomic<long> launches{0}, stream_waits{0}, device_waits{0}, event_waits{0}, blocking_copies{0}, pageable_copies{0},
      mallocs{0}, frees{0}, mapped{0}, pinned{0};
};

extern std::recursive_mutex lock;
extern Counts counts;
extern thread_local int current;

std::vector<Device> &devices();       // those that CUDA_VISIBLE_DEVICES shows
void need_context();                  // a context on the current device, which takes memory once
cudaError_t noted(cudaError_t error); // kept for cudaGetLastError
using Guard = std::lock_guard<std::recursive_mutex>;
