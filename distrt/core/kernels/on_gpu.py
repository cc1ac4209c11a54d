"""The kernels for arrays on GPUs, under one roof: what operations, formulas and optimizers call there.

    if used.gpu and on_gpu.rows.suits(input):
        return on_gpu.rows.softmax(input, is_log=False)

Each module loads when its name is first looked at, so a program that uses no GPU loads none. Whoever needs a kernel
imports this module instead of the kernel's, and looks at its names behind a question that the CPU answers with no
(``used.gpu``, ``is_on_gpu``). ``kernels/table.py`` says which kernel is chosen for what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distrt.core.kernels.cublas import epilogues
    from distrt.core.kernels.cublas import product as products
    from distrt.core.kernels.cuda import (
        adding,
        attention,
        channels,
        checks,
        ctc,
        draws,
        elements,
        loops,
        ordering,
        pooling,
        recurrent,
        rows,
        special,
        together,
        waiting,
    )
    from distrt.core.kernels.cudnn import convolution as convolutions
    from distrt.core.kernels.cudnn import library as cudnn
    from distrt.core.kernels.cudnn import recurrent as sequences
else:
    from distrt.core.process.late import late

    __getattr__ = late(
        globals(),
        {
            "adding": "distrt.core.kernels.cuda.adding",
            "attention": "distrt.core.kernels.cuda.attention",
            "channels": "distrt.core.kernels.cuda.channels",
            "checks": "distrt.core.kernels.cuda.checks",
            "convolutions": "distrt.core.kernels.cudnn.convolution",
            "ctc": "distrt.core.kernels.cuda.ctc",
            "cudnn": "distrt.core.kernels.cudnn.library",
            "draws": "distrt.core.kernels.cuda.draws",
            "elements": "distrt.core.kernels.cuda.elements",
            "epilogues": "distrt.core.kernels.cublas.epilogues",
            "loops": "distrt.core.kernels.cuda.loops",
            "ordering": "distrt.core.kernels.cuda.ordering",
            "pooling": "distrt.core.kernels.cuda.pooling",
            "products": "distrt.core.kernels.cublas.product",
            "recurrent": "distrt.core.kernels.cuda.recurrent",
            "rows": "distrt.core.kernels.cuda.rows",
            "sequences": "distrt.core.kernels.cudnn.recurrent",
            "special": "distrt.core.kernels.cuda.special",
            "together": "distrt.core.kernels.cuda.together",
            "waiting": "distrt.core.kernels.cuda.waiting",
        },
    )

__all__ = [
    "adding",
    "attention",
    "channels",
    "checks",
    "convolutions",
    "ctc",
    "cudnn",
    "draws",
    "elements",
    "epilogues",
    "loops",
    "ordering",
    "pooling",
    "products",
    "recurrent",
    "rows",
    "sequences",
    "special",
    "together",
    "waiting",
]
