"""Every operation of PyTorch's own table, on the table's samples, in every form and dtype: the same here.

The runner is the folder ``opinfo``. What differs is listed there with its reason, and each entry of the list must be
seen; a census for the command line is ``python -m tests.oracle.opinfo``.
"""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

from tests.oracles import require_torch

# The table's samples, and operations on them, warn of what they try.
pytestmark = pytest.mark.filterwarnings("ignore")

#: Patterns of the table's names: each family takes seconds to a minute. An entry belongs to the first that fits.
FAMILIES = (
    "linalg.[a-k]*",
    "linalg.l*",
    "linalg.*",
    "fft.*",
    "masked.*",
    "signal.*",
    "sparse.*",
    "special.*",
    "nn.functional.a*",
    "nn.functional.[b-c]*",
    "nn.functional.[d-k]*",
    "nn.functional.l*",
    "nn.functional.max*",
    "nn.functional.m*",
    "nn.functional.[n-p]*",
    "nn.functional.*",
    "[_A-Z]*",
    "a[a-m]*",
    "a*",
    "b*",
    "c[a-h]*",
    "c*",
    "d*",
    "[e-f]*",
    "[g-k]*",
    "l*",
    "m*",
    "[n-o]*",
    "[p-r]*",
    "s[a-o]*",
    "s*",
    "[t-u]*",
    "*",
)

#: What scripts use most (every one of them in several public repositories).
USUAL = (
    "add mul sub div.no_rounding_mode matmul cat stack where exp log sum mean max.reduction_with_dim softmax "
    "log_softmax clamp split transpose permute reshape view unsqueeze squeeze expand __getitem__ gather "
    "index_select masked_fill topk sort norm einsum nn.functional.cross_entropy nn.functional.linear "
    "nn.functional.conv2d nn.functional.relu nn.functional.gelu nn.functional.layer_norm "
    "nn.functional.max_pool2d nn.functional.interpolate.bilinear nn.functional.scaled_dot_product_attention "
    "nn.functional.embedding nn.functional.pad.constant"
).split()


def _table() -> list[Any]:
    """The table, which takes seconds to import: not while tests are collected."""
    require_torch()
    pytest.importorskip("expecttest", reason="PyTorch's test machinery needs it: the extra `test`")
    from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_operations_do_what_they_do_in_pytorch(family: str) -> None:
    table = _table()
    from tests.oracle.opinfo import differences, forms

    entries = [entry for entry in table if _family(forms.name_of(entry)) == family]
    assert entries, "no entry of this version's table belongs here"
    found = [each for entry in entries for each in forms.compare(entry)]
    unexplained = [str(each) for each in found if differences.explain(each) is None]
    assert not unexplained, "\n".join(unexplained[:40])
    names = {forms.name_of(entry) for entry in entries}
    stale = [
        (name, known.reason)
        for known in differences.KNOWN
        for name in known.entries.split()
        if name in names and not any(each.entry == name and known.explains(each) for each in found)
    ]
    assert not stale, f"listed as different, and alike: {stale}"


@pytest.mark.ci
def test_usual_operations_do_what_they_do_in_pytorch() -> None:
    table = {_name(entry): entry for entry in _table()}
    from tests.oracle.opinfo import differences, forms

    found = [each for name in USUAL for each in forms.compare(table[name], ("float32",), limit=2)]
    assert not [str(each) for each in found if differences.explain(each) is None]


@pytest.mark.slow
def test_every_known_difference_names_entries_of_the_table() -> None:
    names = {_name(entry) for entry in _table()}
    from tests.oracle.opinfo import differences

    assert not {name for known in differences.KNOWN for name in known.entries.split()} - names


def _name(entry: Any) -> str:
    from tests.oracle.opinfo import forms

    return forms.name_of(entry)


def _family(name: str) -> str:
    return next(family for family in FAMILIES if fnmatch.fnmatchcase(name, family))
