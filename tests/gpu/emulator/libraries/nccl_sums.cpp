#include "../../fake/on_cpu.h"
#include "nccl.h"

// In the order of ncclDataType_t, up to bfloat16.
enum Type { INT8, UINT8, INT32, UINT32, INT64, UINT64, FLOAT16, FLOAT32, FLOAT64, BFLOAT16 };
static const size_t WIDTHS[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};

size_t width_of(int type) { return WIDTHS[type]; }

// A float of 16 bits, by its number in CUDA.
template <int KIND> struct Small {
    uint16_t bits;
    operator float() const { return get(KIND, &bits, 0); }
    Small(float value) { set(KIND, &bits, 0, value); }
};

template <class Number>
static Number combined(int operation, Number one, Number other) {
    switch (operation) {
        case PROD: return one * other;
        case MAX: return other > one || other != other ? other : one;
        case MIN: return other < one || other != other ? other : one;
        default: return one + other;
    }
}

// Stored: the dtype; Number: what it is computed in.
template <class Stored, class Number>
static void combine_as(int operation, const std::vector<Bytes>& all, void* result, long first, long count) {
    for (long at = 0; at < count; at++) {
        Number value = ((const Stored*)all[0].data())[first + at];
        for (size_t rank = 1; rank < all.size(); rank++)
            value = combined<Number>(operation, value, ((const Stored*)all[rank].data())[first + at]);
        if (operation == AVG) value /= (Number)all.size();
        ((Stored*)result)[at] = Stored(value);
    }
}

void combine(int type, int operation, const std::vector<Bytes>& all, void* result, long first, long count) {
    switch (type) {
        case INT8: return combine_as<int8_t, int8_t>(operation, all, result, first, count);
        case UINT8: return combine_as<uint8_t, uint8_t>(operation, all, result, first, count);
        case INT32: return combine_as<int32_t, int32_t>(operation, all, result, first, count);
        case UINT32: return combine_as<uint32_t, uint32_t>(operation, all, result, first, count);
        case INT64: return combine_as<int64_t, int64_t>(operation, all, result, first, count);
        case UINT64: return combine_as<uint64_t, uint64_t>(operation, all, result, first, count);
        case FLOAT16: return combine_as<Small<F16>, float>(operation, all, result, first, count);
        case FLOAT32: return combine_as<float, float>(operation, all, result, first, count);
        case FLOAT64: return combine_as<double, double>(operation, all, result, first, count);
        default: return combine_as<Small<BF16>, float>(operation, all, result, first, count);
    }
}
