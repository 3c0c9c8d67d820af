// CUDA words for a host compiler, enough for kernels without barriers: every thread runs alone, in any order.
#pragma once
#define AFITRT_HOST
#include <cmath>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#define __global__
#define __device__

struct Index {
    unsigned x, y, z;
};
static Index blockIdx, blockDim, threadIdx;

static inline int atomicExch(int* place, int value)
{
    const int before = *place;
    *place = value;
    return before;
}
static inline long long __float2ll_rn(float value) { return std::llrint(value); }
static inline float __ll2float_rn(long long value) { return (float)value; }
static inline float half_to_float(unsigned short bits) { return _cvtsh_ss(bits); }
static inline unsigned short float_to_half(float value) { return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT); }

// Threads in an order that `stride` decides: position i runs thread i * stride + stride / 2, modulo all threads.
// Each stride that shares no divisor with their number gives every thread once.
template <typename Argument>
static void host_launch(void (*kernel)(Argument), const void* bytes, const unsigned* grid, unsigned threads,
                        uint64_t stride)
{
    Argument argument;
    std::memcpy(&argument, bytes, sizeof argument);
    const uint64_t all = (uint64_t)grid[0] * grid[1] * grid[2] * threads;
    blockDim = {threads, 1, 1};
    for (uint64_t i = 0; i < all; ++i) {
        uint64_t thread = (i * stride + stride / 2) % all;
        threadIdx = {(unsigned)(thread % threads), 0, 0};
        thread /= threads;
        blockIdx = {(unsigned)(thread % grid[0]), (unsigned)(thread / grid[0] % grid[1]),
                    (unsigned)(thread / grid[0] / grid[1])};
        kernel(argument);
    }
}

#define HOST_LAUNCH(kernel)                                                                                     \
    extern "C" void host_##kernel(const void* bytes, const unsigned* grid, unsigned threads, uint64_t stride)   \
    {                                                                                                           \
        host_launch(kernel, bytes, grid, threads, stride);                                                      \
    }
