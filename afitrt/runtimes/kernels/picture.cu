// Decoded pictures to planar tensors and back, so that frames travel in the decoder's own layout.
//
// A tensor is [3, padded_height, padded_width], RGB, 0..1, float or half; the picture's right and bottom edges are
// repeated into the padding. Packed pictures are RGB, 8 or 16 bit a component over the full range. YUV pictures
// are planar 4:2:0, U and V of ceil(width/2) x ceil(height/2) after Y, 8 bit, or up to 16 bit in the low bits of
// little-endian words. Equations: ITU-R BT.601, BT.709, BT.2020 (non-constant luminance). Rounding is half to even.
#include "common.cuh"

struct Picture {
    void* picture;
    void* tensor;
    int width, height, padded_width, padded_height;
    float peak;                          // largest code: 2^depth - 1
    float luma_offset, luma_range;       // code of black, codes from black to white
    float chroma_middle, chroma_range;   // code of no colour, codes from least to most
    float red, blue;                     // shares of red and blue in luma
    float right, below;                  // place of a chroma sample after its first luma sample, in luma samples
};

__device__ inline float clamped(float value, float least, float most)
{
    return fminf(fmaxf(value, least), most);
}

__device__ inline int inside(int index, int size) { return index < 0 ? 0 : index < size ? index : size - 1; }

template <typename Value>
__device__ void store_rgb(const Picture& p, int index, float red, float green, float blue)
{
    Value* tensor = (Value*)p.tensor;
    const int plane = p.padded_width * p.padded_height;
    store(tensor + index, red);
    store(tensor + plane + index, green);
    store(tensor + 2 * plane + index, blue);
}

// One thread a pixel of the padded tensor.
template <typename Code, typename Value>
__device__ void unpack_rgb(const Picture& p)
{
    const int index = thread_index();
    if (index >= p.padded_width * p.padded_height)
        return;
    const int y = inside(index / p.padded_width, p.height), x = inside(index % p.padded_width, p.width);
    const Code* rgb = (const Code*)p.picture + 3 * (y * p.width + x);
    store_rgb<Value>(p, index, rgb[0] / p.peak, rgb[1] / p.peak, rgb[2] / p.peak);
}

template <typename Code>
__device__ Code code_of(const Picture& p, float value)
{
    return (Code)(int)rintf(clamped(value, 0.0f, p.peak));
}

// One thread a pixel of the picture.
template <typename Code, typename Value>
__device__ void pack_rgb(const Picture& p)
{
    const int index = thread_index();
    if (index >= p.width * p.height)
        return;
    const Value* tensor = (const Value*)p.tensor + index / p.width * p.padded_width + index % p.width;
    Code* rgb = (Code*)p.picture + 3 * index;
    for (int c = 0; c < 3; ++c)
        rgb[c] = code_of<Code>(p, clamped(load(tensor[c * p.padded_width * p.padded_height]), 0.0f, 1.0f) * p.peak);
}

template <typename Code>
struct Planes {
    Code *luma, *u, *v;
    int width, height;  // of U and V
};

template <typename Code>
__device__ Planes<Code> planes_of(const Picture& p)
{
    const int width = (p.width + 1) / 2, height = (p.height + 1) / 2;
    Code* luma = (Code*)p.picture;
    return {luma, luma + p.width * p.height, luma + p.width * p.height + width * height, width, height};
}

// Chroma at a luma sample, in codes: bilinear between the nearest samples, edges repeated.
template <typename Code>
__device__ float upsampled(const Picture& p, const Planes<Code>& planes, const Code* plane, int y, int x)
{
    const float column = (x - p.right) / 2, row = (y - p.below) / 2;
    const float left = floorf(column), above = floorf(row);
    const float across = column - left, down = row - above;
    const int x0 = inside((int)left, planes.width), x1 = inside((int)left + 1, planes.width);
    const Code* upper = plane + inside((int)above, planes.height) * planes.width;
    const Code* lower = plane + inside((int)above + 1, planes.height) * planes.width;
    return (1 - down) * ((1 - across) * upper[x0] + across * upper[x1]) +
           down * ((1 - across) * lower[x0] + across * lower[x1]);
}

// One thread a pixel of the padded tensor.
template <typename Code, typename Value>
__device__ void unpack_yuv(const Picture& p)
{
    const int index = thread_index();
    if (index >= p.padded_width * p.padded_height)
        return;
    const Planes<Code> planes = planes_of<Code>(p);
    const int y = inside(index / p.padded_width, p.height), x = inside(index % p.padded_width, p.width);
    const float luma = (planes.luma[y * p.width + x] - p.luma_offset) / p.luma_range;
    const float u = (upsampled(p, planes, planes.u, y, x) - p.chroma_middle) / p.chroma_range;
    const float v = (upsampled(p, planes, planes.v, y, x) - p.chroma_middle) / p.chroma_range;
    const float red = luma + 2 * (1 - p.red) * v, blue = luma + 2 * (1 - p.blue) * u;
    const float green = (luma - p.red * red - p.blue * blue) / (1 - p.red - p.blue);
    store_rgb<Value>(p, index, clamped(red, 0, 1), clamped(green, 0, 1), clamped(blue, 0, 1));
}

struct Yuv {
    float y, u, v;  // 0..1, -0.5..0.5
};

template <typename Value>
__device__ Yuv yuv_at(const Picture& p, int y, int x)
{
    const int plane = p.padded_width * p.padded_height;
    const Value* at = (const Value*)p.tensor + inside(y, p.height) * p.padded_width + inside(x, p.width);
    const float red = clamped(load(at[0]), 0, 1), green = clamped(load(at[plane]), 0, 1);
    const float blue = clamped(load(at[2 * plane]), 0, 1);
    const float luma = p.red * red + (1 - p.red - p.blue) * green + p.blue * blue;
    return {luma, (blue - luma) / (2 * (1 - p.blue)), (red - luma) / (2 * (1 - p.red))};
}

// One thread a chroma sample and its four luma samples. Chroma is the mean of 2x2 where the sample lies between
// them, and weighs 1 2 1 along an axis on whose samples it lies.
template <typename Code, typename Value>
__device__ void pack_yuv(const Picture& p)
{
    const Planes<Code> planes = planes_of<Code>(p);
    const int index = thread_index();
    if (index >= planes.width * planes.height)
        return;
    const int y = 2 * (index / planes.width), x = 2 * (index % planes.width);
    float u = 0, v = 0;
    for (int j = -1; j < 2; ++j)
        for (int i = -1; i < 2; ++i) {
            const Yuv yuv = yuv_at<Value>(p, y + j, x + i);
            const float across = p.right > 0 ? (i < 0 ? 0.0f : 0.5f) : (i == 0 ? 0.5f : 0.25f);
            const float down = p.below > 0 ? (j < 0 ? 0.0f : 0.5f) : (j == 0 ? 0.5f : 0.25f);
            u += across * down * yuv.u;
            v += across * down * yuv.v;
            if (i >= 0 && j >= 0 && y + j < p.height && x + i < p.width)
                planes.luma[(y + j) * p.width + x + i] = code_of<Code>(p, yuv.y * p.luma_range + p.luma_offset);
        }
    planes.u[index] = code_of<Code>(p, u * p.chroma_range + p.chroma_middle);
    planes.v[index] = code_of<Code>(p, v * p.chroma_range + p.chroma_middle);
}

#define KERNELS(code, Code, value, Value)                                                                    \
    extern "C" __global__ void unpack_rgb_##code##_##value(Picture p) { unpack_rgb<Code, Value>(p); }         \
    extern "C" __global__ void pack_rgb_##code##_##value(Picture p) { pack_rgb<Code, Value>(p); }             \
    extern "C" __global__ void unpack_yuv_##code##_##value(Picture p) { unpack_yuv<Code, Value>(p); }         \
    extern "C" __global__ void pack_yuv_##code##_##value(Picture p) { pack_yuv<Code, Value>(p); }

KERNELS(8, unsigned char, float, float)
KERNELS(8, unsigned char, half, Half)
KERNELS(16, unsigned short, float, float)
KERNELS(16, unsigned short, half, Half)
