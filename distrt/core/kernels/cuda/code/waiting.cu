// One thread that looks at its multiprocessor's clock until so many ticks are over.
extern "C" __global__ void spin(i64 ticks) {
    const i64 began = clock64();
    while (clock64() - began < ticks) {}
}
