"""The op table on a GPU beside the CPU: values, dtypes, first gradients; and that results stay on the GPU.

``python -m tests.gpu.checks.operations PART PARTS [DTYPES]`` runs every PARTS-th case, in its first DTYPES dtypes. The
last GPU is taken, while the first is the current one: where there are several, each operation has to go there itself.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import numpy as np

import distrt
from tests.gpu.checking import apart
from tests.gpu.checks.attention import TOLERANCES
from tests.oracle.compare import is_floating, outputs_of, to_distrt
from tests.oracle.table import CASES, Case

#: What PyTorch keeps on the CPU as well.
_ON_CPU = ("pack_padded_sequence", "pack_sequence", "pad_packed_sequence")

#: What multiplies half precision as it is on a GPU: what lies between two products is rounded there, not on the CPU.
_ROUNDED_BETWEEN = ("attention", "gru", "lstm", "rnn_")

#: How near half precision has to be: relative and absolute. A bit of bfloat16 is 0.4 to 0.8 %.
_NEAR = {"float16": (3e-3, 3e-4), "bfloat16": (1e-2, 1e-2)}


def main(part: int, parts: int, dtypes: int) -> int:
    """Runs a part of the table; returns how many cases failed."""
    place = distrt.device(f"cuda:{distrt.cuda.device_count() - 1}")
    failed = 0
    chosen = CASES[part::parts]
    for case in chosen:
        for dtype in case.dtypes[:dtypes]:
            try:
                _compare(case, dtype, place)
            except Exception as fault:
                failed += 1
                print(f"FAILED {case} {dtype}: {_said(fault)}")
    print(f"{len(chosen)} cases, {failed} failed")
    return failed


def _said(fault: Exception) -> str:
    cause = fault.__cause__ or fault
    where = [each for each in traceback.extract_tb(cause.__traceback__) if "/distrt/" in each.filename]
    line = f" ({where[-1].filename.rpartition('/distrt/')[2]}:{where[-1].lineno})" if where else ""
    return f"{type(cause).__name__}: {str(cause)[:200]}{line}".replace("\n", " ")


def _compare(case: Case, dtype: str, place: Any) -> None:
    arrays = case.arrays(0, dtype)
    wanted = [spec.grad and is_floating(array) for spec, array in zip(case.inputs, arrays, strict=True)]
    here = [to_distrt(array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    there = [_copied(each, place) if isinstance(each, distrt.Tensor) else each for each in here]
    expected = outputs_of(case.run(distrt, *here))
    with place:
        found = outputs_of(case.run(distrt, *there))
    pairs = []
    for out, reference in zip(found, expected, strict=True):
        if isinstance(out, distrt.Tensor):
            assert out.device == place or case.row.startswith(_ON_CPU), f"the result is on {out.device}"
            _assert_close(case, out, reference)
            assert out.requires_grad == reference.requires_grad
            if out.requires_grad:
                pairs.append((out, reference))
    if not pairs:
        return
    seeds = [distrt.ones_like(reference) for _, reference in pairs]
    leaves = [
        [each for each in inputs if isinstance(each, distrt.Tensor) and each.requires_grad]
        for inputs in (there, here)
    ]
    on_gpu = distrt.autograd.grad(
        [out for out, _ in pairs], leaves[0], [_copied(each, place) for each in seeds], allow_unused=True
    )
    on_cpu = distrt.autograd.grad([out for _, out in pairs], leaves[1], seeds, allow_unused=True)
    for mine, reference in zip(on_gpu, on_cpu, strict=True):
        assert (mine is None) == (reference is None)
        if mine is not None:
            assert mine.device == place, f"the gradient is on {mine.device}"
            _assert_close(case, mine, reference)


def _copied(tensor: Any, place: Any) -> Any:
    return tensor.detach().to(place).requires_grad_(tensor.requires_grad)


def _assert_close(case: Case, mine: Any, reference: Any) -> None:
    one, other = mine.detach().cpu()._array, reference.detach()._array
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    kind = np.complex128 if one.dtype.kind == "c" else np.float64
    is_half = one.dtype.itemsize < 4 and one.dtype.kind in "fV"
    if is_half and case.row.startswith(_ROUNDED_BETWEEN):
        limit = TOLERANCES[one.dtype.name]
        far = apart([one.astype(np.float64)], [other.astype(np.float64)])
        assert far < limit, f"{far:.2g} of the largest number apart, more than {limit}"
        return
    relative, absolute = _NEAR.get(one.dtype.name, (1e-4, 1e-5))
    np.testing.assert_allclose(one.astype(kind), other.astype(kind), rtol=relative, atol=absolute)


if __name__ == "__main__":
    part, parts, dtypes = [*map(int, sys.argv[1:]), *(0, 1, 99)[len(sys.argv) - 1 :]]
    sys.exit(1 if main(part, parts, dtypes) else 0)
