"""The CPU's vector instructions."""

import numpy as np

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """The widest kind that NumPy's kernels use: "AVX512", "AVX2" or "DEFAULT"."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    if any(name.startswith("AVX512") or name == "X86_V4" for name in found):
        return "AVX512"
    return "AVX2" if any(name in ("AVX2", "X86_V3") for name in found) else "DEFAULT"
