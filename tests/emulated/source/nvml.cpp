// NVML (libnvidia-ml.so.1) for the GPUs of EMULATED_GPUS; needs no CUDA header.
//
//   EMULATED_PROGRAMS   programs on GPUs, `gpu:pid:MiB:C` (computes) or `:G` (draws), separated by `;`
//   EMULATED_NVML       what nvmlInit answers, 0 by default
//   EMULATED_DRIVER     the driver's version
#include <cstring>

#include "gpus.h"

enum Answer { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

struct Handle {
  const Gpu *gpu;
  const Slice *slice;
  std::string uuid() const { return slice ? "MIG-" + slice->uuid : "GPU-" + gpu->uuid; }
  size_t bytes() const { return slice ? slice->bytes : gpu->bytes; }
  size_t reserved() const { return slice ? 0 : gpu->reserved; }
};

static std::vector<Handle> &whole() {
  static std::vector<Gpu> gpus = gpus_of_box();
  static std::vector<Handle> made = [] {
    std::vector<Handle> handles;
    for (auto &gpu : gpus) handles.push_back({&gpu, nullptr});
    return handles;
  }();
  return made;
}

static std::vector<Handle> &slices(const Gpu *of) {
  static std::vector<std::vector<Handle>> made = [] {
    std::vector<std::vector<Handle>> all;
    for (auto &one : whole()) {
      all.emplace_back();
      for (auto &slice : one.gpu->slices) all.back().push_back({one.gpu, &slice});
    }
    return all;
  }();
  return made[of->index];
}

static int text(char *out, unsigned size, const std::string &value) {
  snprintf(out, size, "%s", value.c_str());
  return OK;
}

struct Program {
  int gpu;
  unsigned pid;
  size_t bytes;
  char kind;
};
static std::vector<Program> programs() {
  std::vector<Program> found;
  std::string all = setting("EMULATED_PROGRAMS");
  if (all.empty()) return found;
  for (auto &one : split(all, ';')) {
    auto field = split(one, ':');
    found.push_back({atoi(field[0].c_str()), unsigned(atoi(field[1].c_str())), mebibytes(field[2]), field[3][0]});
  }
  return found;
}

// ---- start, versions
EXPORT int nvmlInit_v2() { return atoi(setting("EMULATED_NVML", "0").c_str()); }
EXPORT int nvmlInit() { return nvmlInit_v2(); }
EXPORT int nvmlInitWithFlags(unsigned) { return nvmlInit_v2(); }
EXPORT int nvmlShutdown() { return OK; }
EXPORT const char *nvmlErrorString(int error) {
  const char *known[] = {"Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
                         "", "Not Found", "Insufficient Size", "", "Driver Not Loaded"};
  if (error == 18) return "Driver/library version mismatch";
  return error >= 0 && error < 10 ? known[error] : "Unknown Error";
}
EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned size) { return text(out, size, setting("EMULATED_DRIVER", "580.95.05")); }
EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = atoi(setting("EMULATED_CUDA", "13000").c_str()); return OK; }
EXPORT int nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

// ---- devices
EXPORT int nvmlDeviceGetCount_v2(unsigned *out) { *out = unsigned(whole().size()); return OK; }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle **out) {
  if (index >= whole().size()) return INVALID;
  *out = &whole()[index];
  return OK;
}
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, Handle **out) {
  for (auto &one : whole()) {
    if (one.uuid() == uuid) return *out = &one, OK;
    for (auto &slice : slices(one.gpu))
      if (slice.uuid() == uuid) return *out = &slice, OK;
  }
  return NOT_FOUND;
}
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *, Handle **out) { return nvmlDeviceGetHandleByIndex_v2(0, out); }
EXPORT int nvmlDeviceGetUUID(Handle *of, char *out, unsigned size) { return text(out, size, of->uuid()); }
EXPORT int nvmlDeviceGetName(Handle *of, char *out, unsigned size) {
  return text(out, size, of->gpu->name + (of->slice ? " MIG " + of->slice->profile : ""));
}
EXPORT int nvmlDeviceGetCudaComputeCapability(Handle *of, int *major, int *minor) {
  *major = of->gpu->major;
  *minor = of->gpu->minor;
  return OK;
}

// ---- memory and programs
static size_t used(const Handle *of) { return of->slice ? 0 : of->gpu->held; }
struct Memory1 { unsigned long long total, free, used; };
struct Memory2 { unsigned version; unsigned long long total, reserved, free, used; };
EXPORT int nvmlDeviceGetMemoryInfo(Handle *of, Memory1 *out) {
  out->total = of->bytes();
  out->used = used(of) + of->reserved();
  out->free = out->total - out->used;
  return OK;
}
EXPORT int nvmlDeviceGetMemoryInfo_v2(Handle *of, Memory2 *out) {
  out->total = of->bytes();
  out->reserved = of->reserved();
  out->used = used(of);
  out->free = out->total - out->reserved - out->used;
  return OK;
}

struct ProcessInfo { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; };
static int listed(Handle *of, unsigned *count, ProcessInfo *out, char kind) {
  if (is_set("EMULATED_WSL")) return NOT_SUPPORTED;
  std::vector<ProcessInfo> found;
  for (auto &one : programs())
    if (one.gpu == of->gpu->index && !of->slice && one.kind == kind) found.push_back({one.pid, one.bytes, ~0u, ~0u});
  unsigned room = *count;
  *count = unsigned(found.size());
  if (found.empty()) return OK;
  if (!out || room < found.size()) return TOO_SMALL;
  memcpy(out, found.data(), found.size() * sizeof *out);
  return OK;
}
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(Handle *of, unsigned *n, ProcessInfo *out) { return listed(of, n, out, 'C'); }
EXPORT int nvmlDeviceGetGraphicsRunningProcesses_v3(Handle *of, unsigned *n, ProcessInfo *out) { return listed(of, n, out, 'G'); }
// torch asks by the oldest name when memory runs out; MIG slices and WSL refuse it.
EXPORT int nvmlDeviceGetComputeRunningProcesses(Handle *of, unsigned *count, void *) {
  if (is_set("EMULATED_WSL")) return NOT_SUPPORTED;
  if (!of->gpu->slices.empty()) return 4;
  *count = 0;
  return OK;
}

// ---- readings
struct Rates { unsigned gpu, memory; };
EXPORT int nvmlDeviceGetUtilizationRates(Handle *of, Rates *out) {
  if (of->slice || !of->gpu->slices.empty()) return NOT_SUPPORTED;
  *out = {87, 40};
  return OK;
}
EXPORT int nvmlDeviceGetTemperature(Handle *of, int, unsigned *out) { *out = 61; return of->slice ? INVALID : OK; }
struct TemperatureV { unsigned version; int sensor, degrees; };
EXPORT int nvmlDeviceGetTemperatureV(Handle *of, TemperatureV *out) { out->degrees = 61; return of->slice ? INVALID : OK; }
EXPORT int nvmlDeviceGetPowerUsage(Handle *of, unsigned *out) { *out = 300000; return of->slice ? INVALID : OK; }
EXPORT int nvmlDeviceGetEnforcedPowerLimit(Handle *of, unsigned *out) { *out = 450000; return of->slice ? INVALID : OK; }

// ---- MIG
EXPORT int nvmlDeviceGetMigMode(Handle *of, unsigned *now, unsigned *pending) {
  if (of->slice) return INVALID;
  if (of->gpu->major < 8) return NOT_SUPPORTED;
  *now = *pending = !of->gpu->slices.empty();
  return OK;
}
EXPORT int nvmlDeviceGetMaxMigDeviceCount(Handle *, unsigned *out) { *out = 7; return OK; }
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(Handle *of, unsigned index, Handle **out) {
  auto &all = slices(of->gpu);
  if (index >= all.size()) return NOT_FOUND;
  *out = &all[index];
  return OK;
}
struct Attributes { unsigned processors, engines[5], gpu_slices, compute_slices; unsigned long long mebibytes; };
EXPORT int nvmlDeviceGetAttributes_v2(Handle *of, Attributes *out) {
  memset(out, 0, sizeof *out);
  if (!of->slice) return NOT_SUPPORTED;
  out->gpu_slices = out->compute_slices = unsigned(of->slice->compute);
  out->mebibytes = of->slice->bytes / MIB;
  return OK;
}

// ---- how GPUs are connected
struct Fabric { unsigned version; unsigned char cluster[16]; int status; unsigned clique; unsigned char state; unsigned mask; unsigned char health; };
EXPORT int nvmlDeviceGetGpuFabricInfoV(Handle *, Fabric *out) {
  unsigned version = out->version;
  memset(out, 0, sizeof *out);
  out->version = version;
  return is_set("EMULATED_NO_FABRIC") ? NOT_SUPPORTED : OK;
}
EXPORT int nvmlDeviceGetNvLinkRemoteDeviceType(Handle *, unsigned, int *) { return NOT_SUPPORTED; }
EXPORT int nvmlDeviceGetNvLinkRemotePciInfo_v2(Handle *, unsigned, void *) { return NOT_SUPPORTED; }
