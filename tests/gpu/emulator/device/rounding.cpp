// Arithmetic rounded to one side, which the compiler must not move across the change of the CPU's rounding.

#include <cfenv>
#include <cmath>

#include "blocks.h"

#pragma GCC optimize("O0")

template <class T> static T rounded(char operation, char direction, T a, T b, T c) {
    volatile T x = a, y = b, z = c, found;
    fesetround(direction == 'z' ? FE_TOWARDZERO : direction == 'm' ? FE_DOWNWARD : FE_UPWARD);
    switch (operation) {
        case '+': found = x + y; break;
        case '-': found = x - y; break;
        case '*': found = x * y; break;
        case '/': found = x / y; break;
        default: found = std::fma((T)x, (T)y, (T)z);
    }
    fesetround(FE_TONEAREST);
    return found;
}

float rounded_f32(char operation, char direction, float a, float b, float c) {
    return rounded(operation, direction, a, b, c);
}

double rounded_f64(char operation, char direction, double a, double b, double c) {
    return rounded(operation, direction, a, b, c);
}
