// The hot loops on an NVIDIA GPU; `generic.py` documents each of them. REAL is float or double.
//
// Every loop strides over the grid, so the same source runs as plain C++ with a grid of one thread (tests/strict_cupy.py).

struct __align__(2 * sizeof(REAL)) Complex {
    REAL re, im;
};

#define TWO_TO_MINUS_32 2.3283064365386963e-10  // exact in double precision; hexadecimal ones are C++17

__device__ inline long first() { return (long)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline long stride() { return (long)gridDim.x * blockDim.x; }

// i % period; a division of 64 bits takes a GPU longer than the memory access that it serves.
__device__ inline long wrap(long i, long period)
{
    return i < period ? i : i < 1l << 32 ? (unsigned)i % (unsigned)period : i % period;
}

// 64 random bits for a counter: SplitMix64.
__device__ inline unsigned long long random_bits(unsigned long long seed, long counter)
{
    unsigned long long bits = seed + (unsigned long long)counter * 0x9E3779B97F4A7C15ull;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
    return bits ^ (bits >> 31);
}

// Position of a response on a table of last + 1 nodes over [-radius, radius].
__device__ inline REAL table_position(REAL u, REAL radius, long last)
{
    REAL position = (u + radius) * ((REAL)last / (radius + radius));
    return position > 0 ? (position < last ? position : (REAL)last) : (REAL)0;  // 0 also where u is NaN
}

extern "C" {

// One row of blocks for each map, which repeats every `period` pixels.
__global__ void expand(const Complex *maps, const Complex *image, Complex *out, long pixels, long period)
{
    maps += blockIdx.y * period;
    out += blockIdx.y * pixels;
    for (long i = first(); i < pixels; i += stride()) {
        Complex a = maps[wrap(i, period)], b = image[i];
        out[i] = {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
}

__global__ void combine(const Complex *maps, const Complex *images, Complex *out, long count, long pixels, long period)
{
    for (long i = first(); i < pixels; i += stride()) {
        Complex sum = out[i];
        const Complex *map = maps + wrap(i, period), *image = images + i;
        for (long j = 0; j < count; j++, map += period, image += pixels) {
            Complex a = *map, b = *image;
            sum.re += a.re * b.re + a.im * b.im;
            sum.im += a.re * b.im - a.im * b.re;
        }
        out[i] = sum;
    }
}

// One row of blocks for each image.
__global__ void scale(Complex *images, const REAL *factor, long pixels)
{
    images += blockIdx.y * pixels;
    for (long i = first(); i < pixels; i += stride()) {
        images[i].re *= factor[i];
        images[i].im *= factor[i];
    }
}

// One row of blocks for each filter, whose table lies in shared memory.
__global__ void interpolate(REAL *values, const REAL *table, REAL radius, REAL inverse_variance, long size, long nodes)
{
    extern __shared__ char memory[];
    REAL *m = (REAL *)memory;
    table += blockIdx.y * nodes;
    values += blockIdx.y * size;
    for (long i = threadIdx.x; i < nodes; i += blockDim.x)
        m[i] = table[i];
    __syncthreads();
    long last = nodes - 1;
    for (long i = first(); i < size; i += stride()) {
        REAL u = values[i], position = table_position(u, radius, last);
        long node = (long)position < last ? (long)position : last - 1;
        values[i] = (m[node] + (position - node) * (m[node + 1] - m[node]) - u) * inverse_variance;
    }
}

__global__ void draw(REAL *values, const float *accept, const unsigned char *alias, const REAL *means, REAL radius,
                     REAL inverse_variance, unsigned long long seed, long first_row, long size, long distance,
                     long nodes, long components)
{
    values += blockIdx.y * distance;
    accept += blockIdx.y * nodes * components;
    alias += blockIdx.y * nodes * components;
    seed = random_bits(seed, first_row + blockIdx.y);
    for (long i = first(); i < size; i += stride()) {
        unsigned long long bits = random_bits(seed, i + 1);
        REAL u = values[i];
        long node = (long)(table_position(u, radius, nodes - 1) + (double)(bits & 0xFFFFFFFFull) * TWO_TO_MINUS_32);
        double place = (double)(bits >> 32) * TWO_TO_MINUS_32 * components;
        long component = (long)place, entry = (node < nodes ? node : nodes - 1) * components + component;
        if (place - component >= accept[entry])
            component = alias[entry];
        values[i] = (means[component] - u) * inverse_variance;
    }
}

__global__ void normal(Complex *out, unsigned long long seed, long first_place, long size)
{
    for (long i = first(); i < size; i += stride()) {
        unsigned long long bits = random_bits(seed, first_place + i + 1);
        double radius = sqrt(-2 * log(((double)(bits >> 32) + 0.5) * TWO_TO_MINUS_32));
        double angle = 6.283185307179586 * TWO_TO_MINUS_32 * (double)(bits & 0xFFFFFFFFull);
        out[i] = {(REAL)(radius * cos(angle)), (REAL)(radius * sin(angle))};
    }
}

// Posterior mean of the component means of all mixtures at each node, all in double.
__global__ void mixture_means(const double *nodes, const double *weights, const double *means, double std, double *out,
                              long count, long size, long components)
{
    double scaling = 0.5 / (std * std);
    for (long i = first(); i < count * size; i += stride()) {
        const double *w = weights + i / size * components;
        double u = nodes[i % size], nearest = 1e300, total = 0, moment = 0;
        for (long j = 0; j < components; j++)  // components without weight must not count, because one of them may be the nearest by far
            if (w[j] > 0)
                nearest = fmin(nearest, fabs(u - means[j]));
        for (long j = 0; j < components; j++) {
            double term = w[j] > 0 ? w[j] * exp(scaling * (nearest * nearest - (u - means[j]) * (u - means[j]))) : 0;
            total += term;
            moment += means[j] * term;
        }
        out[i] = moment / total;
    }
}

// Log density and posterior mean of one mixture for each value; log_weights (filters, components), all in double.
__global__ void mixture(const double *values, const double *log_weights, const double *means, double std,
                        double *log_density, double *mean, long size, long components)
{
    const double *weights = log_weights + blockIdx.y * components;
    long offset = blockIdx.y * size;
    double scaling = 0.5 / (std * std);
    for (long i = first(); i < size; i += stride()) {
        double u = values[offset + i], top = -1e300, total = 0, moment = 0;
        for (long j = 0; j < components; j++)
            top = fmax(top, weights[j] - scaling * (u - means[j]) * (u - means[j]));
        for (long j = 0; j < components; j++) {
            double term = exp(weights[j] - scaling * (u - means[j]) * (u - means[j]) - top);
            total += term;
            moment += means[j] * term;
        }
        log_density[offset + i] = top + log(total) - log(sqrt(6.283185307179586) * std);
        mean[offset + i] = moment / total;
    }
}

}  // extern "C"
