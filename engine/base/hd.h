// GS_HD marks a function that is compiled for the host and, under nvcc, for the device as well.
#pragma once

#if defined(__CUDACC__)
#define GS_HD __host__ __device__ __forceinline__
#else
#define GS_HD inline
#endif
