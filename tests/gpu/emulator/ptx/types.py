"""PTX's types in C: how many bytes they have, and what carries their bits."""

from __future__ import annotations

SIZE = {
    **dict.fromkeys(("pred", "b8", "u8", "s8"), 1),
    **dict.fromkeys(("b16", "u16", "s16", "f16", "bf16"), 2),
    **dict.fromkeys(("b32", "u32", "s32", "f32", "f16x2", "bf16x2"), 4),
    **dict.fromkeys(("b64", "u64", "s64", "f64"), 8),
    "b128": 16,
}
FLOATS = ("f16", "bf16", "f32", "f64")
PAIRS = {"f16x2": "f16", "bf16x2": "bf16"}
SPACES = ("global", "shared", "local", "param", "const")

#: The helpers of ``thread.h`` that make a number of bits, and bits of a number.
NUMBER_OF = {"f16": "of_f16", "bf16": "of_bf16", "f32": "of_f32", "f64": "of_f64"}
BITS_OF = {"f16": "f16_bits", "bf16": "bf16_bits", "f32": "f32_bits", "f64": "f64_bits"}


class UnsupportedError(Exception):
    """A text that the translator does not know; it says which instruction."""


def unsigned(size: int) -> str:
    """The C type that carries so many bytes."""
    return f"u{8 * size}"


def c_type(kind: str) -> str:
    """The C type of an integer of this kind; of a float, what carries its bits."""
    return f"{'i' if kind[0] == 's' else 'u'}{8 * SIZE[kind]}"


def c_name(name: str) -> str:
    """A name that C takes, and that none of C's own words has."""
    return "x_" + name.replace("%", "R_").replace("$", "S_").replace(".", "_")
