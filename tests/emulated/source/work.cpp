// Streams, events, kernels and products: all work is done at once, by doing nothing; launches and waits are counted.
#include <cstring>

#include "state.h"

#undef cuStreamWriteValue32

template <class Handle>
static cudaError_t make(Handle *out) {
  *out = reinterpret_cast<Handle>(malloc(64));
  return cudaSuccess;
}

// ---- streams and events
EXPORT cudaError_t cudaStreamCreate(cudaStream_t *out) { return make(out); }
EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned) { return make(out); }
EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned, int) { return make(out); }
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t) { counts.stream_waits++; return cudaSuccess; }
EXPORT cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamGetPriority(cudaStream_t, int *priority) { *priority = 0; return cudaSuccess; }
EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus *status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *,
                                            const cudaGraphNode_t **, const cudaGraphEdgeData **, size_t *count) {
  *status = cudaStreamCaptureStatusNone;
  if (id) *id = 0;
  if (count) *count = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *) { return cudaSuccess; }
EXPORT CUresult cuStreamWriteValue32(CUstream, CUdeviceptr, cuuint32_t, unsigned) { return CUDA_SUCCESS; }
EXPORT cudaError_t cudaEventCreate(cudaEvent_t *out) { return make(out); }
EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned) { return make(out); }
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event) { free(event); return cudaSuccess; }
EXPORT cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaEventRecordWithFlags(cudaEvent_t, cudaStream_t, unsigned) { return cudaSuccess; }
EXPORT cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t) { counts.event_waits++; return cudaSuccess; }
EXPORT cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t, cudaEvent_t) { *milliseconds = 1; return cudaSuccess; }

// ---- kernels
static int launched() { counts.launches++; return 0; }

EXPORT void **__cudaRegisterFatBinary(void *) { static void *handle[4]; return handle; }
EXPORT void __cudaRegisterFatBinaryEnd(void **) {}
EXPORT void __cudaUnregisterFatBinary(void **) {}
EXPORT void __cudaRegisterFunction(void **, const char *, char *, const char *, int, void *, void *, void *, void *, int *) {}
EXPORT void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int) {}
EXPORT char __cudaInitModule(void **) { return 1; }

struct Shape {
  dim3 grid, block;
  size_t shared;
  void *stream;
};
static thread_local std::vector<Shape> shapes;
EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st *stream) {
  shapes.push_back({grid, block, shared, stream});
  return 0;
}
EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  Shape shape = shapes.back();
  shapes.pop_back();
  *grid = shape.grid;
  *block = shape.block;
  *shared = shape.shared;
  *static_cast<void **>(stream) = shape.stream;
  return cudaSuccess;
}
EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void *>(function));
  return cudaSuccess;
}
EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void **, size_t, cudaStream_t) { return cudaError_t(launched()); }
EXPORT cudaError_t cudaLaunchKernel(const void *, dim3, dim3, void **, size_t, cudaStream_t) { return cudaError_t(launched()); }
EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *, const void *, void **) { return cudaError_t(launched()); }
EXPORT CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **,
                               void **) {
  return CUresult(launched());
}
EXPORT cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *) {
  memset(out, 0, sizeof *out);
  out->maxThreadsPerBlock = 1024;
  out->numRegs = 32;
  out->binaryVersion = out->ptxVersion = 90;
  return cudaSuccess;
}
EXPORT cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute, int) { return cudaSuccess; }
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *count, const void *, int, size_t, unsigned) {
  *count = 2;
  return cudaSuccess;
}
EXPORT cudaError_t cudaGetSymbolAddress(void **out, const void *symbol) { *out = const_cast<void *>(symbol); return cudaSuccess; }

// ---- cuBLAS and cuBLASLt, whose handles and descriptions nobody looks into
static int described(void **out) { *out = calloc(1, 4096); return 0; }
static int forgotten(void *made) { free(made); return 0; }

EXPORT int cublasCreate_v2(void **out) { need_context(); return described(out); }
EXPORT int cublasDestroy_v2(void *) { return 0; }
EXPORT int cublasGetMathMode(void *, int *mode) { *mode = 0; return 0; }
EXPORT int cublasGetPointerMode_v2(void *, int *mode) { *mode = 0; return 0; }
EXPORT size_t cublasLtGetVersion() { return 130101; }
EXPORT int cublasLtMatmulDescCreate(void **out, int, int) { return described(out); }
EXPORT int cublasLtMatmulDescDestroy(void *made) { return forgotten(made); }
EXPORT int cublasLtMatrixLayoutCreate(void **out, int, uint64_t, uint64_t, int64_t) { return described(out); }
EXPORT int cublasLtMatrixLayoutDestroy(void *made) { return forgotten(made); }
EXPORT int cublasLtMatmulPreferenceCreate(void **out) { return described(out); }
EXPORT int cublasLtMatmulPreferenceDestroy(void *made) { return forgotten(made); }
EXPORT int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *, int, void *found, int *count) {
  memset(found, 0, 96);
  *count = 1;
  return 0;
}
EXPORT int cublasLtMatmul(void *, ...) { return launched(); }
EXPORT int cublasGemmEx(void *, ...) { return launched(); }
EXPORT int cublasGemmStridedBatchedEx(void *, ...) { return launched(); }
EXPORT int cublasSgemm_v2(void *, ...) { return launched(); }
EXPORT int cublasSgemmStridedBatched(void *, ...) { return launched(); }
EXPORT int cublasSgemv_v2(void *, ...) { return launched(); }
