// Memory of the emulated devices: address space is real (and empty until it is written), sizes are counted against the card.
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "state.h"

struct Block {
  size_t bytes;
  int device;
};
struct Physical {
  size_t bytes;
  int device;
};
static std::map<char *, Block> allocated;   // cudaMalloc
static std::map<char *, size_t> pinned;     // cudaHostAlloc
static std::map<char *, size_t> addresses;  // cuMemAddressReserve

static char *space(size_t bytes) {
  void *made = mmap(nullptr, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return made == MAP_FAILED ? nullptr : static_cast<char *>(made);
}

template <class Map, class Size>
static bool within(const Map &blocks, const void *pointer, Size size) {
  auto at = static_cast<char *>(const_cast<void *>(pointer));
  auto next = blocks.upper_bound(at);
  if (next == blocks.begin()) return false;
  --next;
  return at < next->first + size(next->second);
}
static bool is_pinned(const void *p) { return within(pinned, p, [](size_t bytes) { return bytes; }); }
static bool is_device(const void *p) {
  return within(allocated, p, [](const Block &block) { return block.bytes; }) ||
         within(addresses, p, [](size_t bytes) { return bytes; });
}

// Large copies are left out: nobody reads what kernels never wrote. Small ones carry sizes, offsets and statistics.
static void copy(void *to, const void *from, size_t bytes) {
  if (bytes <= MIB) memmove(to, from, bytes);
}

// ---- runtime
EXPORT cudaError_t cudaMalloc(void **out, size_t bytes) {
  need_context();
  Guard guard(lock);
  counts.mallocs++;
  size_t unit = bytes <= MIB ? 512 : 2 * MIB, whole = (bytes + unit - 1) / unit * unit;
  if (!devices()[current].take(whole)) return noted(cudaErrorMemoryAllocation);
  char *made = space(whole);
  if (!made) return noted(cudaErrorMemoryAllocation);
  allocated[made] = {whole, current};
  *out = made;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFree(void *pointer) {
  if (!pointer) return need_context(), cudaSuccess;
  Guard guard(lock);
  counts.frees++;
  auto found = allocated.find(static_cast<char *>(pointer));
  if (found == allocated.end()) return cudaSuccess;
  devices()[found->second.device].used -= found->second.bytes;
  munmap(pointer, found->second.bytes);
  allocated.erase(found);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t) { return cudaMalloc(out, bytes); }
EXPORT cudaError_t cudaFreeAsync(void *pointer, cudaStream_t) { return cudaFree(pointer); }
EXPORT cudaError_t cudaMallocManaged(void **out, size_t bytes, unsigned) {
  need_context();
  *out = space(bytes);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  need_context();
  Device &device = devices()[current];
  *total = device.gpu.usable();
  *free_bytes = *total > device.used ? *total - device.used : 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned) {
  need_context();
  Guard guard(lock);
  counts.pinned++;
  char *made = space(bytes);
  pinned[made] = bytes ? bytes : 1;
  *out = made;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFreeHost(void *pointer) {
  Guard guard(lock);
  auto found = pinned.find(static_cast<char *>(pointer));
  if (found == pinned.end()) return cudaSuccess;
  munmap(pointer, found->second);
  pinned.erase(found);
  return cudaSuccess;
}
EXPORT cudaError_t cudaHostRegister(void *, size_t, unsigned) { return cudaSuccess; }
EXPORT cudaError_t cudaHostUnregister(void *) { return cudaSuccess; }
EXPORT cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *pointer) {
  Guard guard(lock);
  memset(out, 0, sizeof *out);
  out->device = current;
  out->type = cudaMemoryTypeUnregistered;
  if (is_pinned(pointer)) {
    out->type = cudaMemoryTypeHost;
    out->hostPointer = const_cast<void *>(pointer);
  } else if (is_device(pointer)) {
    out->type = cudaMemoryTypeDevice;
    out->devicePointer = const_cast<void *>(pointer);
  }
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
  counts.blocking_copies++;
  copy(to, from, bytes);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  Guard guard(lock);
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) counts.pageable_copies++;
  copy(to, from, bytes);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t bytes, cudaStream_t) {
  copy(to, from, bytes);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                                     size_t height, cudaMemcpyKind, cudaStream_t) {
  if (width * height > MIB) return cudaSuccess;
  for (size_t row = 0; row < height; row++)
    memmove(static_cast<char *>(to) + row * to_pitch, static_cast<const char *>(from) + row * from_pitch, width);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemset(void *to, int value, size_t bytes) {
  if (bytes <= MIB) memset(to, value, bytes);
  return cudaSuccess;
}
EXPORT cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t) { return cudaMemset(to, value, bytes); }
EXPORT cudaError_t cudaMemPrefetchAsync(const void *, size_t, cudaMemLocation, unsigned, cudaStream_t) { return cudaSuccess; }

// ---- driver: the address space and physical memory of growing segments
#undef cuMemsetD32Async
#undef cuPointerGetAttribute
EXPORT CUresult cuMemGetAllocationGranularity(size_t *bytes, const CUmemAllocationProp *, CUmemAllocationGranularity_flags) {
  *bytes = 2 * MIB;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAddressReserve(CUdeviceptr *out, size_t bytes, size_t, CUdeviceptr, unsigned long long) {
  Guard guard(lock);
  char *made = space(bytes);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  addresses[made] = bytes;
  *out = reinterpret_cast<CUdeviceptr>(made);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAddressFree(CUdeviceptr pointer, size_t bytes) {
  Guard guard(lock);
  munmap(reinterpret_cast<void *>(pointer), bytes);
  addresses.erase(reinterpret_cast<char *>(pointer));
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *out, size_t bytes, const CUmemAllocationProp *where,
                            unsigned long long) {
  Guard guard(lock);
  need_context();
  counts.mapped++;
  int device = where->location.id;
  if (!devices()[device].take(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = reinterpret_cast<CUmemGenericAllocationHandle>(new Physical{bytes, device});
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  Guard guard(lock);
  auto *physical = reinterpret_cast<Physical *>(handle);
  devices()[physical->device].used -= physical->bytes;
  delete physical;
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemMap(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long) { return CUDA_SUCCESS; }
EXPORT CUresult cuMemUnmap(CUdeviceptr pointer, size_t bytes) {
  madvise(reinterpret_cast<void *>(pointer), bytes, MADV_DONTNEED);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemSetAccess(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t) {
  return is_set("EMULATED_WSL") ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}
EXPORT CUresult cuMemExportToShareableHandle(void *, CUmemGenericAllocationHandle, CUmemAllocationHandleType, unsigned long long) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *, void *, CUmemAllocationHandleType) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
EXPORT CUresult cuMemsetD32Async(CUdeviceptr, unsigned, size_t, CUstream) { return CUDA_SUCCESS; }
EXPORT CUresult cuPointerGetAttribute(void *, CUpointer_attribute, CUdeviceptr) { return CUDA_SUCCESS; }
