"""GPUs: tensors whose array is CuPy's.

The operations are the same definitions: NumPy's functions ask an array whose they are (NEP 13, NEP 18), and what makes
a new array says beside which one (``like=``, NEP 35).  This room finds CuPy, which loads only when a GPU is asked for,
moves arrays between devices, and sees to it that an operation runs where its arrays are.  What only a tensor on a GPU
needs is looked up by its name here (``gpu.calls``), and loads at the first look.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distrt.core.gpu import calls, faults, memory, tables
else:
    from distrt.core.process.late import late

    __getattr__ = late(
        globals(), {name: f"{__name__}.{name}" for name in ("calls", "faults", "memory", "tables")}
    )

__all__ = ["calls", "faults", "memory", "tables"]
