"""Says which GPUs there are; ends with 1 where there is none."""

from __future__ import annotations

import sys

import distrt


def main() -> int:
    """Prints a line for each."""
    if not distrt.cuda.is_available():
        print("no GPU: CuPy is not installed, or finds none")
        return 1
    import cupy

    kind = "a fake of CuPy" if getattr(cupy, "IS_FAKE", False) else "CuPy"
    print(f"{kind} {cupy.__version__}, CUDA runtime {cupy.cuda.runtime.runtimeGetVersion()}")
    for number in range(distrt.cuda.device_count()):
        print(f"cuda:{number}: {distrt.cuda.get_device_properties(number)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
