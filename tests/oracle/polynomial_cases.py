"""Rows of the op table: orthogonal polynomials, and Bessel's and Airy's functions.

What they give asks for no gradient, whatever they are given.
"""

from __future__ import annotations

from tests.oracle.op_cases import FLOATS, In, row

DEGREES = In((2, 4), "below 12", dtype="int64", grad=False)
for name in (
    "chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w "
    "hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p "
    "shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v "
    "shifted_chebyshev_polynomial_w"
).split():
    row(
        name,
        lambda t, a, n, f=name: (
            getattr(t.special, f)(a, n),
            getattr(t.special, f)(t.round(a), n - 2),
            getattr(t.special, f)(a, 3),
            getattr(t.special, f)(0.3, n),
        ),
        [(In((3, 2, 4)), DEGREES), (In((4,), "fractions"), DEGREES)],
        dtypes=(*FLOATS, "int64"),
        smooth=False,
    )
for name in (
    "airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 "
    "modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0"
).split():
    row(
        name,
        # Around 0, where PyTorch's are exact; elsewhere see tests/core/test_cylinder_functions.py.
        lambda t, a, f=name: getattr(t.special, f)(a),
        [In((3, 4), "fractions"), In((0, 2))],
        smooth=False,
    )
