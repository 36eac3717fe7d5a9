// Devices, their properties and errors: the CUDA runtime and driver as far as they describe the box.
#include <dlfcn.h>

#include <cstring>

#include "state.h"

std::recursive_mutex lock;
Counts counts;
thread_local int current = 0;
static thread_local cudaError_t last_error = cudaSuccess;

static bool names(const std::string &entry, const Gpu &gpu) {
  return ("GPU-" + gpu.uuid).rfind(entry, 0) == 0;
}

// A MIG slice as a device of its own: CUDA shows a program no more than one.
static Gpu as_device(const Gpu &whole, const Slice &slice) {
  Gpu gpu = whole;
  gpu.name += " MIG " + slice.profile;
  gpu.uuid = slice.uuid;
  gpu.bytes = slice.bytes;
  gpu.reserved = 0;
  gpu.processors = whole.processors * slice.compute / 8;
  return gpu;
}

static std::vector<Gpu> shown() {
  std::vector<Gpu> all = gpus_of_box(), chosen;
  const char *variable = getenv("CUDA_VISIBLE_DEVICES");
  if (!variable) {
    for (auto &gpu : all) chosen.push_back(gpu.slices.empty() ? gpu : as_device(gpu, gpu.slices.front()));
    return chosen;
  }
  for (auto &entry : split(variable, ',')) {
    bool found = false;
    for (auto &gpu : all) {
      for (auto &slice : gpu.slices)
        if (!found && ("MIG-" + slice.uuid).rfind(entry, 0) == 0 && !entry.empty())
          chosen.push_back(as_device(gpu, slice)), found = true;
      bool numbered = !entry.empty() && isdigit(entry[0]) && atoi(entry.c_str()) == gpu.index;
      if (!found && !entry.empty() && (numbered || names(entry, gpu)))
        chosen.push_back(gpu.slices.empty() ? gpu : as_device(gpu, gpu.slices.front())), found = true;
    }
    if (!found) break;  // CUDA stops at the first entry that it does not know
  }
  return chosen;
}

std::vector<Device> &devices() {
  static std::vector<Device> all = [] {
    std::vector<Device> made;
    for (auto &gpu : shown()) {
      made.emplace_back();
      made.back().gpu = gpu;
      made.back().used = gpu.held;
    }
    return made;
  }();
  return all;
}

bool Device::take(size_t size) {
  if (used + size > gpu.usable()) return false;
  used += size;
  if (used > peak) peak = used;
  return true;
}

void need_context() {
  Guard guard(lock);
  if (current >= int(devices().size())) return;
  Device &device = devices()[current];
  if (!device.has_context) device.take(mebibytes(setting("EMULATED_CONTEXT_MIB", "500")));
  device.has_context = true;
}

cudaError_t noted(cudaError_t error) {
  if (error) last_error = error;
  return error;
}

// ---- what tests ask
EXPORT long emulated_count(const char *name) {
  const std::pair<const char *, std::atomic<long> &> all[] = {
      {"launches", counts.launches},         {"stream_waits", counts.stream_waits},
      {"device_waits", counts.device_waits}, {"event_waits", counts.event_waits},
      {"blocking_copies", counts.blocking_copies}, {"pageable_copies", counts.pageable_copies},
      {"mallocs", counts.mallocs},           {"frees", counts.frees},
      {"mapped", counts.mapped},             {"pinned", counts.pinned}};
  for (auto &one : all)
    if (!strcmp(one.first, name)) return one.second;
  if (!strcmp(name, "used")) return long(devices()[current].used);
  if (!strcmp(name, "peak")) return long(devices()[current].peak);
  return -1;
}

// ---- runtime
EXPORT cudaError_t cudaGetDeviceCount(int *count) {
  *count = int(devices().size());
  return noted(*count ? cudaSuccess : cudaErrorNoDevice);
}
EXPORT cudaError_t cudaGetDevice(int *device) { *device = current; return cudaSuccess; }
EXPORT cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= int(devices().size())) return noted(cudaErrorInvalidDevice);
  current = device;
  need_context();
  return cudaSuccess;
}
EXPORT cudaError_t cudaDriverGetVersion(int *version) { *version = atoi(setting("EMULATED_CUDA", "13000").c_str()); return cudaSuccess; }
EXPORT cudaError_t cudaRuntimeGetVersion(int *version) { *version = 13000; return cudaSuccess; }
EXPORT cudaError_t cudaGetLastError() { cudaError_t error = last_error; last_error = cudaSuccess; return error; }
EXPORT cudaError_t cudaPeekAtLastError() { return last_error; }
EXPORT const char *cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorMemoryAllocation) return "out of memory";
  if (error == cudaErrorNoDevice) return "no CUDA-capable device is detected";
  return error ? "an emulated error" : "no error";
}
EXPORT const char *cudaGetErrorName(cudaError_t error) { return error ? "cudaErrorEmulated" : "cudaSuccess"; }
EXPORT cudaError_t cudaDeviceSynchronize() { counts.device_waits++; return cudaSuccess; }

// Shared memory that one block can ask for, by generation (CUDA C++ Programming Guide, compute capabilities).
static size_t shared_memory(const Gpu &gpu) {
  if (gpu.major == 9 || gpu.major == 10) return 227 << 10;
  if (gpu.major == 8 && gpu.minor == 0) return 163 << 10;
  if (gpu.major == 8 || gpu.major == 12) return 99 << 10;
  return gpu.minor == 5 ? 64 << 10 : 96 << 10;
}

static int threads(const Gpu &gpu) {
  if (gpu.major == 7 && gpu.minor == 5) return 1024;
  return (gpu.major == 8 && gpu.minor > 0) || gpu.major == 12 ? 1536 : 2048;
}

EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device) {
  if (device < 0 || device >= int(devices().size())) return noted(cudaErrorInvalidDevice);
  const Gpu &gpu = devices()[device].gpu;
  memset(out, 0, sizeof *out);
  strncpy(out->name, gpu.name.c_str(), sizeof out->name - 1);
  std::string digits;
  for (char c : gpu.uuid)
    if (c != '-') digits += c;
  for (size_t i = 0; i < 16 && 2 * i + 1 < digits.size(); i++)
    out->uuid.bytes[i] = char(strtol(digits.substr(2 * i, 2).c_str(), nullptr, 16));
  out->totalGlobalMem = gpu.usable();
  out->major = gpu.major;
  out->minor = gpu.minor;
  out->multiProcessorCount = gpu.processors;
  out->sharedMemPerBlock = 48 << 10;
  out->sharedMemPerBlockOptin = shared_memory(gpu);
  out->sharedMemPerMultiprocessor = shared_memory(gpu) + 1024;
  out->regsPerBlock = out->regsPerMultiprocessor = 65536;
  out->warpSize = 32;
  out->maxThreadsPerBlock = 1024;
  out->maxThreadsPerMultiProcessor = threads(gpu);
  out->maxThreadsDim[0] = out->maxThreadsDim[1] = 1024;
  out->maxThreadsDim[2] = 64;
  out->maxGridSize[0] = 2147483647;
  out->maxGridSize[1] = out->maxGridSize[2] = 65535;
  out->totalConstMem = 65536;
  out->l2CacheSize = 50 << 20;
  out->textureAlignment = 512;
  out->pciBusID = device + 1;
  out->unifiedAddressing = out->managedMemory = out->concurrentManagedAccess = 1;
  out->canMapHostMemory = out->concurrentKernels = out->cooperativeLaunch = 1;
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (cudaError_t error = cudaGetDeviceProperties(&p, device)) return error;
  switch (int(attribute)) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = int(p.sharedMemPerBlock); break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = int(p.sharedMemPerBlockOptin); break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = int(p.sharedMemPerMultiprocessor); break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
    case cudaDevAttrMaxRegistersPerBlock: *value = 65536; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrMaxGridDimX: *value = p.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    case cudaDevAttrManagedMemory:
    case cudaDevAttrConcurrentManagedAccess:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrMemoryPoolsSupported: *value = 1; break;
    default: *value = 0;
  }
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device) {
  snprintf(text, size, "00000000:%02x:00.0", device + 1);
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return cudaSuccess; }
EXPORT cudaError_t cudaDeviceCanAccessPeer(int *can, int, int) { *can = 1; return cudaSuccess; }

// torch finds the driver's functions through the runtime: they are in this library too.
EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned, unsigned long long,
                                                    cudaDriverEntryPointQueryResult *result) {
  static void *self = [] {
    Dl_info info;
    dladdr(reinterpret_cast<void *>(cudaGetDriverEntryPointByVersion), &info);
    return dlopen(info.dli_fname, RTLD_LAZY);
  }();
  *function = dlsym(self, name);
  if (result) *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return *function ? cudaSuccess : cudaErrorSymbolNotFound;
}

// ---- driver
EXPORT CUresult cuInit(unsigned) { devices(); return CUDA_SUCCESS; }
EXPORT CUresult cuDriverGetVersion(int *version) { cudaDriverGetVersion(version); return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGet(CUdevice *device, int index) { *device = index; return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetCount(int *count) { *count = int(devices().size()); return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  *value = 0;
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) *value = devices()[device].gpu.major;
  if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) *value = devices()[device].gpu.minor;
  if (attribute == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) *value = 1;
  if (attribute == CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED) *value = is_set("EMULATED_WSL");
  return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxGetCurrent(CUcontext *context) { *context = reinterpret_cast<CUcontext>(1); return CUDA_SUCCESS; }
EXPORT CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
  *flags = 0;
  *active = device < int(devices().size()) && devices()[device].has_context;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorString(CUresult error, const char **text) {
  *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "unknown error";
  return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorName(CUresult, const char **text) { *text = "CUDA_ERROR_EMULATED"; return CUDA_SUCCESS; }
