// What every kernel needs. All kernels are plain C++ without barriers or shared memory, so that a host compiler
// can build them too: it defines AFITRT_HOST and supplies the CUDA words and the two half conversions first.
#pragma once

struct Half {
    unsigned short bits;
};

#ifndef AFITRT_HOST
// NVRTC's wheel brings no cuda_fp16.h; these two instructions are all that is needed of it.
__device__ inline float half_to_float(unsigned short bits)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ inline unsigned short float_to_half(float value)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#endif

__device__ inline float load(float value) { return value; }
__device__ inline float load(Half value) { return half_to_float(value.bits); }

__device__ inline void store(float* place, float value) { *place = value; }
__device__ inline void store(Half* place, float value) { place->bits = float_to_half(value); }

__device__ inline int thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }
