// Softmax splatting (Niklaus and Liu, "Softmax Splatting for Video Frame Interpolation", 2020) of a half-size
// picture and three feature levels, from both sides of a pair to one time t between them.
//
//     out(p) = sum over sources s of b(s, p) e^Z(s) v(s)  /  (sum over s of b(s, p) e^Z(s) + 1e-7)
//
// b is the bilinear share that a source landing at s + flow(s) gives to pixel p; shares outside the picture are
// dropped, and so is a source whose landing or e^Z is not finite. Side 0 moves by t*flow01 under t*Z0, side 1 by
// (1-t)*flow10 under (1-t)*Z1. Level 0 (half picture, f1) is h x w; level 1 (f2) takes the mean of each 2x2 of
// flow and Z, level 2 (f3) the mean of the middle 2x2 of each 4x4; flow then shrinks with the level, Z does not.
//
// Scattering every channel with atomic adds would need an accumulator for each output value (0.9 GB in 64 bit at
// 1088x1920) and as many atomics. Instead `splat_link` puts each source pixel on the list of the one cell between
// pixels that it lands in, with its exponent and fractions, and `splat_gather` lets every output pixel collect
// from its four cells, all channels in registers, and writes the finished quotient once. Two launches, because
// no pixel may be collected before all sources have landed. Lists come in any order; sums of integers do not care.
#include "common.cuh"

#define LEVELS 3
#define CHUNK 16

struct Landing {
    float exponential, right, below;  // e^Z; shares of the right and the lower neighbours
    int next;                         // next source in the same cell, or -1
};

struct Splat {
    const float* half[2];
    const void* features[LEVELS][2];
    const float* flow[2];
    const float* z[2];
    const float* t;
    float* pictures[2];
    void* out[LEVELS];
    int* heads;         // first source of each cell or -1: [level][side][(h+1)*(w+1)], set to -1 before
    Landing* landings;  // [level][side][h*w]
    int height, width;
};

struct Level {
    int height, width;
    int* heads;
    Landing* landings;
};

__device__ inline Level level_of(const Splat& splat, int level, int side)
{
    int heads = 0, landings = 0, height = 0, width = 0;
    for (int l = 0; l <= level; ++l) {
        heads += 2 * (height + 1) * (width + 1) * (l > 0);
        landings += 2 * height * width;
        height = splat.height >> l;
        width = splat.width >> l;
    }
    heads += side * (height + 1) * (width + 1);
    landings += side * height * width;
    return {height, width, splat.heads + heads, splat.landings + landings};
}

// Bilinear resize by 1, 1/2 or 1/4 without antialiasing: exactly the mean of the middle 2x2 of each square.
__device__ inline float resized(const float* plane, float factor, int width, int level, int y, int x)
{
    const int square = 1 << level;
    if (level == 0)
        return factor * plane[y * width + x];
    const float* at = plane + (y * square + square / 2 - 1) * width + x * square + square / 2 - 1;
    const float above = 0.5f * (factor * at[0]) + 0.5f * (factor * at[1]);
    const float below = 0.5f * (factor * at[width]) + 0.5f * (factor * at[width + 1]);
    return 0.5f * above + 0.5f * below;
}

// One thread a source pixel of a level; blockIdx.y is the side.
extern "C" __global__ void splat_link(Splat splat)
{
    const int side = blockIdx.y;
    int index = thread_index(), level = 0, pixels = splat.height * splat.width;
    while (level < LEVELS && index >= pixels) {
        index -= pixels;
        pixels /= 4;
        ++level;
    }
    if (level == LEVELS)
        return;
    const Level to = level_of(splat, level, side);
    const int y = index / to.width, x = index % to.width;
    const float factor = side == 0 ? splat.t[0] : 1.0f - splat.t[0];
    const float shrink = 1.0f / (1 << level);
    const float* flow = splat.flow[side];
    const float column = x + shrink * resized(flow, factor, splat.width, level, y, x);
    const float row = y + shrink * resized(flow + splat.height * splat.width, factor, splat.width, level, y, x);
    const float exponential = expf(resized(splat.z[side], factor, splat.width, level, y, x));
    const float left = floorf(column), above = floorf(row);
    // Written so that NaN fails each comparison.
    const bool lands = left >= -1 && left < to.width && above >= -1 && above < to.height;
    if (!lands || !(exponential <= 3.402823466e38f))
        return;
    const int cell = ((int)above + 1) * (to.width + 1) + (int)left + 1;
    to.landings[index] = {exponential, column - left, row - above, atomicExch(to.heads + cell, index)};
}

// Sums of one output pixel in float: quick, but the last bits depend on the order of the lists.
struct FastSum {
    typedef float Number;
    __device__ void prepare(float, int) {}
    __device__ float weight(float weight) const { return weight; }
    __device__ float number(float value) const { return value; }
    __device__ float value(float sum) const { return sum; }
};

// Sums of one output pixel in 64-bit fixed point: the same bits in any order.
//
// Weights are first multiplied by 2^(bits - exponent), where the pixel's largest weight lies below 2^exponent.
// A term is then at most 2^bits * 65504 < 2^(bits + 16) (values saturate there, as halves do), and n terms, with
// n < 2^digits, sum to less than 2^(bits + 16 + digits) = 2^62 for bits = 46 - digits: no overflow, whatever
// overlaps. Rounding n terms to integers shifts the quotient by less than n 2^-bits < 2^(2 digits - 46), in units
// of the values: 2^-40 for the four sources that an ordinary pixel has, and never more than the bound of float
// sums, n 2^-24, while digits <= 22, that is, up to all pixels of a half-size 2160p picture on one spot.
// Weights below 2^-60 need no exactness: 1e-7 in the denominator makes them vanish.
struct FixedSum {
    typedef long long Number;
    float scale, unscale;
    __device__ void prepare(float largest, int terms)
    {
        int exponent = 0, digits = 1;
        frexpf(largest, &exponent);
        exponent = exponent < -60 ? -60 : exponent;
        while (digits < 31 && (terms >> digits) > 0)
            ++digits;
        scale = ldexpf(1.0f, 46 - digits - exponent);
        unscale = ldexpf(1.0f, exponent + digits - 46);
    }
    __device__ float weight(float weight) const { return weight * scale; }
    __device__ long long number(float value) const { return __float2ll_rn(value); }
    __device__ float value(long long sum) const { return __ll2float_rn(sum) * unscale; }
};

__device__ inline float share(const Landing& landing, int corner)
{
    const float across = corner & 1 ? landing.right : 1.0f - landing.right;
    const float down = corner & 2 ? landing.below : 1.0f - landing.below;
    return landing.exponential * (across * down);
}

// The cell whose landings have pixel (y, x) as their corner: bit 0 = right, bit 1 = lower.
__device__ inline int cell_of(const Level& level, int y, int x, int corner)
{
    return (y + 1 - (corner >> 1)) * (level.width + 1) + x + 1 - (corner & 1);
}

template <typename Sum>
__device__ Sum prepared(const Level& level, int y, int x)
{
    float largest = 0.0f;
    int terms = 0;
    for (int corner = 0; corner < 4; ++corner)
        for (int s = level.heads[cell_of(level, y, x, corner)]; s >= 0; s = level.landings[s].next) {
            largest = fmaxf(largest, share(level.landings[s], corner));
            ++terms;
        }
    Sum sum;
    sum.prepare(largest, terms);
    return sum;
}

template <>
__device__ FastSum prepared<FastSum>(const Level&, int, int)
{
    return FastSum();
}

// Collects up to CHUNK channels of one output pixel. A value that is not finite makes the pixel NaN: it is the
// network's failure, and must not be hidden by saturation.
template <typename Sum, typename Value>
__device__ void gather(const Level& level, const Value* in, Value* out, int channels, int index)
{
    const int y = index / level.width, x = index % level.width, plane = level.height * level.width;
    const Sum sum = prepared<Sum>(level, y, x);
    typename Sum::Number sums[CHUNK] = {}, total = 0;
    float poison = 0.0f;
    for (int corner = 0; corner < 4; ++corner)
        for (int s = level.heads[cell_of(level, y, x, corner)]; s >= 0;) {
            const Landing landing = level.landings[s];
            const float weight = sum.weight(share(landing, corner));
            total += sum.number(weight);
#pragma unroll
            for (int c = 0; c < CHUNK; ++c)
                if (c < channels) {
                    const float value = load(in[c * plane + s]);
                    poison += value * 0.0f;
                    sums[c] += sum.number(weight * fminf(fmaxf(value, -65504.0f), 65504.0f));
                }
            s = landing.next;
        }
    const float whole = sum.value(total) + 1e-7f;
#pragma unroll
    for (int c = 0; c < CHUNK; ++c)
        if (c < channels)
            store(out + c * plane + index, sum.value(sums[c]) / whole + poison);
}

// One thread an output pixel and up to CHUNK channels; blockIdx.y is the side. Blocks count through the levels,
// within a level through the pixels, and for the same pixels through the chunks, whose lists are then in cache.
template <typename Sum, typename Value>
__device__ void gather_all(const Splat& splat)
{
    const int channels[LEVELS] = {64, 128, 192};
    const int side = blockIdx.y;
    int block = blockIdx.x;
    for (int l = 0; l < LEVELS; ++l) {
        const Level level = level_of(splat, l, side);
        const int plane = level.height * level.width;
        const int chunks = channels[l] / CHUNK + (l == 0);
        const int blocks = (plane + blockDim.x - 1) / blockDim.x * chunks;
        if (block < blocks) {
            const int index = block / chunks * blockDim.x + threadIdx.x;
            const int first = block % chunks * CHUNK;
            if (index >= plane)
                return;
            if (first == channels[l]) {
                gather<Sum>(level, splat.half[side], splat.pictures[side], 3, index);
                return;
            }
            const Value* in = (const Value*)splat.features[l][side] + first * plane;
            Value* out = (Value*)splat.out[l] + (side * channels[l] + first) * plane;
            gather<Sum>(level, in, out, CHUNK, index);
            return;
        }
        block -= blocks;
    }
}

extern "C" __global__ void splat_gather_fixed_float(Splat splat) { gather_all<FixedSum, float>(splat); }
extern "C" __global__ void splat_gather_fixed_half(Splat splat) { gather_all<FixedSum, Half>(splat); }
extern "C" __global__ void splat_gather_fast_float(Splat splat) { gather_all<FastSum, float>(splat); }
extern "C" __global__ void splat_gather_fast_half(Splat splat) { gather_all<FastSum, Half>(splat); }
