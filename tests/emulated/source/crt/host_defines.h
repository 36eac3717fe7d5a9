// What CUDA's public headers want of the compiler's private ones; a host compiler needs none of it.
#pragma once
#define CUDARTAPI
#define __cudart_builtin__
#define CUDART_CB
#define __annotate__(x)
#define __builtin_align__(n) __attribute__((aligned(n)))
#define __align__(n) __attribute__((aligned(n)))
#define __constant__
#define __device__
#define __device_builtin__
#define __device_builtin_surface_type__
#define __device_builtin_texture_type__
#define __forceinline__ inline
#define __global__
#define __host__
#define __inline_hint__
#define __managed__
#define __no_return__
#define __noinline__
#define __shared__
#define __thread__ __thread
