// What the C that is made of PTX needs: a thread's view of the device, and the instructions that C has no operator for.
// The device's C++ has the first part of it, too.

#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned __int128 u128;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef __int128 i128;

// What the device says of the thread that runs. `shared` is its block's memory, `slots` 32 words of its warp.
typedef struct Thread Thread;
struct Thread {
    u32 tid[3], ntid[3], ctaid[3], nctaid[3];
    u32 lane, warp, dynamic, shared_size;
    u8* shared;
    u64* slots;
    void (*meet_block)(Thread*, u32 barrier, u32 count);
    void (*meet_warp)(Thread*, u32 mask);
    void (*leave)(Thread*);
    void (*fault)(Thread*, const char* what);  // does not return
    u32 (*active)(Thread*);
    u32 (*counted)(Thread*, u32 barrier, u32 vote, char how);
    float (*rounded_f32)(char operation, char direction, float, float, float);
    double (*rounded_f64)(char operation, char direction, double, double, double);
    void (*copy_later)(Thread*, u8* to, const u8* from, u32 bytes, u32 read);
    void (*end_copies)(Thread*);
    void (*wait_for_copies)(Thread*, u32 left);
};

// What the device has to know of a kernel; `places` are offset and size of each parameter.
typedef struct {
    u32 static_shared, dynamic_offset, most_threads, parameters;
    const u32* places;
} KernelInfo;

#ifndef __cplusplus
#define HELPER static inline __attribute__((always_inline, unused))

// A tick for each look.
HELPER u64 ticks(void) {
    static u64 count;
    return ++count;
}

// Memory that may hold any type.
#define ANY(type) typedef type any_##type __attribute__((may_alias, aligned(1)))
ANY(u8); ANY(u16); ANY(u32); ANY(u64); ANY(u128);
ANY(i8); ANY(i16); ANY(i32); ANY(i64);

// -- Memory

HELPER u8* aligned(Thread* c, u8* p, u32 bytes) {
    if ((u64)p & (bytes - 1)) c->fault(c, "misaligned address");
    return p;
}
HELPER u8* in_shared(Thread* c, u32 offset, u32 bytes) {
    if (offset + (u64)bytes > c->shared_size) c->fault(c, "address beyond the block's shared memory");
    return aligned(c, c->shared + offset, bytes);
}
HELPER u8 is_shared(Thread* c, u64 address) {
    return address >= (u64)c->shared && address < (u64)c->shared + c->shared_size;
}

// -- Floats and their bits

HELPER float of_f32(u32 bits) { float x; __builtin_memcpy(&x, &bits, 4); return x; }
HELPER u32 f32_bits(float x) { u32 bits; __builtin_memcpy(&bits, &x, 4); return bits; }
HELPER double of_f64(u64 bits) { double x; __builtin_memcpy(&x, &bits, 8); return x; }
HELPER u64 f64_bits(double x) { u64 bits; __builtin_memcpy(&bits, &x, 8); return bits; }

HELPER float of_f16(u16 bits) { _Float16 x; __builtin_memcpy(&x, &bits, 2); return (float)x; }
HELPER u16 f16_bits_of_double(double x) {
    _Float16 half = (_Float16)x;
    u16 bits;
    __builtin_memcpy(&bits, &half, 2);
    return x != x ? 0x7fff : bits;
}
HELPER u16 f16_bits(float x) { return f16_bits_of_double(x); }

HELPER float of_bf16(u16 bits) { return of_f32((u32)bits << 16); }
HELPER u16 bf16_bits(float x) {
    u32 bits = f32_bits(x);
    return x != x ? 0x7fff : (u16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
// Rounded to float with the last bit set where that is not exact, so that the second rounding sees no false tie.
HELPER u16 bf16_bits_of_double(double x) {
    float near = (float)x;
    u32 bits = f32_bits(near);
    if (x != x || (double)near == x || near - near != 0) return bf16_bits(near);
    if (((double)near > x) == (near > 0)) bits--;
    return bf16_bits(of_f32(bits | 1));
}
HELPER u32 f16x2_sum(u32 a, u32 b) {
    return f16_bits(of_f16((u16)a) + of_f16((u16)b)) | (u32)f16_bits(of_f16(a >> 16) + of_f16(b >> 16)) << 16;
}
HELPER u32 bf16x2_sum(u32 a, u32 b) {
    return bf16_bits(of_bf16((u16)a) + of_bf16((u16)b)) | (u32)bf16_bits(of_bf16(a >> 16) + of_bf16(b >> 16)) << 16;
}

// -- Conversions

HELPER double saturated(double x) { return x != x || x < 0 ? 0 : x > 1 ? 1 : x; }

// Out of range: the nearest number. NaN: 0, and for 64 bits 0x8000000000000000.
#define TO_INTEGER(kind, type, least, most, nan) \
    HELPER type to_##kind(double x) { \
        return x != x ? (type)(nan) : x <= (double)(least) ? (type)(least) : x >= (double)(most) ? (type)(most) : (type)x; \
    }
#define CLAMP(kind, type, least, most) \
    HELPER type clamped_##kind##_from_i128(i128 x) { \
        return x < (i128)(least) ? (type)(least) : x > (i128)(most) ? (type)(most) : (type)x; \
    } \
    HELPER type clamped_##kind##_from_u128(u128 x) { return x > (u128)(most) ? (type)(most) : (type)x; }
#define INTEGER(kind, type, least, most, nan) TO_INTEGER(kind, type, least, most, nan) CLAMP(kind, type, least, most)
INTEGER(s8, i8, -128, 127, 0)
INTEGER(u8, u8, 0, 255, 0)
INTEGER(s16, i16, -32768, 32767, 0)
INTEGER(u16, u16, 0, 65535, 0)
INTEGER(s32, i32, -2147483647 - 1, 2147483647, 0)
INTEGER(u32, u32, 0, 4294967295u, 0)
INTEGER(s64, i64, -9223372036854775807ll - 1, 9223372036854775807ll, 0x8000000000000000ull)
INTEGER(u64, u64, 0, 18446744073709551615ull, 0x8000000000000000ull)
HELPER i32 to_s32_from_s64(i64 x) { return clamped_s32_from_i128(x); }

// The neighbour of the nearest float where that is on the wrong side: 'z', 'm', 'p' for zero, minus and plus infinity.
HELPER float narrowed_f32(double x, char direction) {
    float near = (float)x;
    if (x != x || (double)near == x) return near;
    u8 is_above = (double)near > x, is_negative = x < 0;
    u8 wants_below = direction == 'm' || (direction == 'z' && !is_negative);
    if (is_above != wants_below) return near;
    u32 bits = f32_bits(near);
    u8 grows = wants_below == is_negative;  // of a negative number, the one below has the larger bits
    if (!(bits << 1)) return of_f32(wants_below ? 0x80000001u : 1u);
    return of_f32(grows ? bits + 1 : bits - 1);
}

// -- Bits

HELPER u32 lop3(u32 a, u32 b, u32 c, u32 table) {
    u32 found = 0;
    for (u32 row = 0; row < 8; row++)
        if (table >> row & 1) found |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    return found;
}
HELPER u32 prmt(u32 a, u32 b, u32 choice) {
    u64 both = (u64)b << 32 | a;
    u32 found = 0;
    for (u32 n = 0; n < 4; n++) {
        u32 which = choice >> (4 * n), byte = (u32)(both >> (8 * (which & 7))) & 255;
        if (which & 8) byte = byte & 128 ? 255 : 0;
        found |= byte << (8 * n);
    }
    return found;
}
#define FIELD(width, unsigned_, signed_) \
    HELPER unsigned_ bfe_u##width(unsigned_ a, u32 at, u32 length) { \
        at &= 255; length &= 255; \
        if (at >= width || !length) return 0; \
        unsigned_ found = a >> at; \
        return length < width ? found & (((unsigned_)1 << length) - 1) : found; \
    } \
    HELPER unsigned_ bfe_s##width(signed_ a, u32 at, u32 length) { \
        at &= 255; length &= 255; \
        if (!length) return 0; \
        u32 top = at + length - 1 >= width ? width - 1 : at + length - 1; \
        unsigned_ sign = ((unsigned_)a >> top) & 1, found = 0; \
        for (u32 n = 0; n < width; n++) \
            found |= (n < length && at + n < width ? ((unsigned_)a >> (at + n)) & 1 : sign) << n; \
        return found; \
    } \
    HELPER unsigned_ bfi_##width(unsigned_ a, unsigned_ b, u32 at, u32 length) { \
        at &= 255; length &= 255; \
        for (u32 n = 0; n < length && at + n < width; n++) \
            b = (b & ~((unsigned_)1 << (at + n))) | (((a >> n) & 1) << (at + n)); \
        return b; \
    } \
    HELPER unsigned_ reversed_##width(unsigned_ a) { \
        unsigned_ found = 0; \
        for (u32 n = 0; n < width; n++) found |= ((a >> n) & 1) << (width - 1 - n); \
        return found; \
    } \
    HELPER u32 bfind_u##width(unsigned_ a, int as_shift) { \
        if (!a) return ~0u; \
        u32 place = 63 - __builtin_clzll(a); \
        return as_shift ? width - 1 - place : place; \
    } \
    HELPER u32 bfind_s##width(signed_ a, int as_shift) { return bfind_u##width(a < 0 ? ~a : a, as_shift); }
FIELD(32, u32, i32)
FIELD(64, u64, i64)

// -- Warps: each thread leaves a word for the others, and none goes on to write the next before all have read.

HELPER u32 shuffled(Thread* c, char how, u32 value, u32 b, u32 bounds, u32 mask, u8* is_there) {
    c->slots[c->lane] = value;
    c->meet_warp(c, mask);
    u32 segment = (bounds >> 8) & 31, clamp = bounds & 31, far = b & 31, lane = c->lane;
    i32 last = (lane & segment) | (clamp & ~segment), first = lane & segment, from;
    switch (how) {
        case 'u': from = (i32)lane - (i32)far; *is_there = from >= last; break;
        case 'd': from = lane + far; *is_there = from <= last; break;
        case 'b': from = lane ^ far; *is_there = from <= last; break;
        default: from = first | (far & ~segment); *is_there = from <= last;
    }
    u32 found = (u32)c->slots[*is_there ? from : (i32)lane];
    c->meet_warp(c, mask);
    return found;
}
HELPER u32 voted(Thread* c, u32 vote, u32 mask, char how) {
    c->slots[c->lane] = vote & 1;
    c->meet_warp(c, mask);
    u32 there = c->active(c) & mask, votes = 0;
    for (u32 n = 0; n < 32; n++) if (there >> n & 1) votes |= (u32)c->slots[n] << n;
    c->meet_warp(c, mask);
    switch (how) {
        case 'a': return votes == there;
        case 'o': return votes != 0;
        case 'u': return votes == 0 || votes == there;
        default: return votes;
    }
}
HELPER u32 matched(Thread* c, u64 value, u32 mask) {
    c->slots[c->lane] = value;
    c->meet_warp(c, mask);
    u32 found = 0;
    for (u32 n = 0; n < 32; n++) if (mask >> n & 1) found |= (u32)(c->slots[n] == value) << n;
    c->meet_warp(c, mask);
    return found;
}
#define REDUCED(how, kind, type, joined) \
    HELPER u32 reduced_##how##_##kind(Thread* c, u32 value, u32 mask) { \
        c->slots[c->lane] = value; \
        c->meet_warp(c, mask); \
        type a = 0; \
        u8 is_first = 1; \
        for (u32 n = 0; n < 32; n++) if (mask >> n & 1) { \
            type b = (type)(u32)c->slots[n]; \
            a = is_first ? b : (joined); \
            is_first = 0; \
        } \
        c->meet_warp(c, mask); \
        return (u32)a; \
    }
REDUCED(add, u32, u32, a + b)
REDUCED(add, s32, i32, (i32)((u32)a + (u32)b))
REDUCED(min, u32, u32, a < b ? a : b)
REDUCED(min, s32, i32, a < b ? a : b)
REDUCED(max, u32, u32, a > b ? a : b)
REDUCED(max, s32, i32, a > b ? a : b)
REDUCED(and, b32, u32, a & b)
REDUCED(or, b32, u32, a | b)
REDUCED(xor, b32, u32, a ^ b)

// -- Tensor cores: each lane has a part of each matrix, and shows it to the others.

#define SHARED_BY_LANES static __attribute__((noinline, unused))

SHARED_BY_LANES void fragments(Thread* c, const u8* row, u32 count, int turned, u32* d) {
    c->slots[c->lane] = (u64)row;
    c->meet_warp(c, ~0u);
    for (u32 n = 0; n < count; n++) {
        const u64* rows = c->slots + 8 * n;
        const u32 high = c->lane / 4, low = c->lane % 4 * 2;
        const any_u16 *first = (any_u16*)rows[turned ? low : high], *second = (any_u16*)rows[turned ? low + 1 : high];
        d[n] = first[turned ? high : low] | (u32)second[turned ? high : low + 1] << 16;
    }
    c->meet_warp(c, ~0u);
}

// given: four words of A, two of B, four of C. A's rows are lane / 4 and eight more, B's column is lane / 4; the columns
// of A and rows of B are 2 * (lane % 4), one more, and eight more of each. C's rows are A's, its columns 2 * (lane % 4)
// and one more. Sums are rounded once, where tensor cores may round on the way.
#define MMA(kind) \
    SHARED_BY_LANES void mma_##kind(Thread* c, const u32* given, u32* d) { \
        c->slots[c->lane] = (u64)given; \
        c->meet_warp(c, ~0u); \
        for (u32 n = 0; n < 4; n++) { \
            const u32 row = c->lane / 4, half = n / 2, column = c->lane % 4 * 2 + n % 2; \
            double total = of_f32(given[6 + n]); \
            for (u32 k = 0; k < 16; k++) { \
                const u32 of_four = k % 8 / 2, shift = k % 2 * 16; \
                const u32* a = (const u32*)c->slots[row * 4 + of_four]; \
                const u32* b = (const u32*)c->slots[column * 4 + of_four] + 4; \
                total += (double)of_##kind((u16)(a[half + k / 8 * 2] >> shift)) * of_##kind((u16)(b[k / 8] >> shift)); \
            } \
            d[n] = f32_bits((float)total); \
        } \
        c->meet_warp(c, ~0u); \
    }
MMA(f16)
MMA(bf16)
#endif
