"""Parametrizations of weights: orthogonal matrices, weight normalisation, spectral normalisation."""

from __future__ import annotations

from typing import Any, TypeVar

from distrt.core import ops
from distrt.core.creation import eye, randn, zeros_like
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.limits import finfo
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.utils.parametrize import register_parametrization
from distrt.nn.utils.spectral_norm import outputs_dim, rows_of, unit
from distrt.nn.utils.weight_norm import norm_except_dim, scaled_direction

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


# Orthogonal


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keeps a matrix, or each of a batch of them, orthogonal (unitary, if complex); returns the module.

    Its columns are orthonormal, or its rows where these are fewer.

    Args:
        module: whose matrix it is.
        name: its name.
        orthogonal_map: how it is computed: "matrix_exp" (the default of square and of complex ones), "cayley" or
            "householder" (the default of the others).
        use_trivialization: compute it relative to a fixed matrix ``base``, the first value, which helps training.

    Raises:
        ValueError: for what is no matrix, or another map.

    Source: M. Lezcano-Casado, https://arxiv.org/abs/1909.09501, for the trivialization.
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-1] == weight.shape[-2]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, made, unsafe=True)
    return module


def _tensor_of(module: Module, name: str) -> Tensor:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return found


class _Orthogonal(Module):
    """Maps any matrix to an orthogonal one, from its lower triangle."""

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            # Unitary matrices have more degrees of freedom than the vectors of reflections.
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - a matrix
        """Shape: (…, n, k) -> the same."""
        wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if wide else X
        found = self._reflections(tall) if self.orthogonal_map == "householder" else self._rotation(tall)
        if hasattr(self, "base"):
            found = ops.matmul(self.base, found)
        return found.mT if wide else found

    def _rotation(self, tall: Tensor) -> Tensor:
        """The exponential, or Cayley's map (I + A/2)(I - A/2)^-1, of the skew-symmetric A in the lower triangle."""
        n, k = tall.shape[-2:]
        lower = ops.tril(tall)
        if n != k:
            rest = lower.new_zeros((*lower.shape[:-1], n - k))
            lower = ops.cat([lower, rest], -1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            found = ops.matrix_exp(skew)
        else:
            one = eye(n, dtype=skew.dtype, device=skew.device)
            found = ops.linalg_solve(one - skew / 2, one + skew / 2)
        return found if n == k else found[..., :k]  # type: ignore[no-any-return]

    def _reflections(self, tall: Tensor) -> Tensor:
        """The product of the reflections along the columns below the diagonal, which holds the signs of Q's columns."""
        vectors = ops.tril(tall, -1)
        tau = 2.0 / (1.0 + (vectors * vectors).sum(-2))
        found = ops.linalg_householder_product(vectors, tau)
        signs = tall.diagonal(dim1=-2, dim2=-1).to(dt.int32)  # no gradient goes there
        return found * signs.unsqueeze(-2)  # type: ignore[no-any-return]

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:  # noqa: N803 - a matrix
        """What ``forward`` maps to ``Q``, or to the nearest that it can."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.mT if wide else Q
        if hasattr(self, "base"):
            self.base = self._completed(tall)
            minus_one = zeros_like(Q)
            minus_one.diagonal(dim1=-2, dim2=-1).fill_(-1.0)  # which all three maps take to the identity
            return minus_one
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        compact, tau = ops.geqrf(tall)
        signs = compact.diagonal(dim1=-2, dim2=-1)
        signs.sign_()
        signs[tau == 0.0] *= -1  # where no reflection was needed
        return compact.mT if wide else compact  # type: ignore[no-any-return]

    def _completed(self, tall: Tensor) -> Tensor:
        """A square orthogonal matrix that begins with the columns of ``tall``, made orthogonal where they are not."""
        n, k = tall.shape[-2:]
        if n != k:
            rest = randn(*tall.shape[:-1], n - k, dtype=tall.dtype, device=tall.device)
            return _orthogonalised(ops.cat([tall, rest], -1))
        product = ops.matmul(tall.mH, tall)
        tolerance = 10.0 * n * finfo(tall.dtype).eps
        if ops.allclose(
            product, ops.expand(eye(n, dtype=tall.dtype, device=tall.device), product.shape), atol=tolerance
        ):
            return tall.clone()
        return _orthogonalised(tall)


def _orthogonalised(tall: Tensor) -> Tensor:
    """The Q of a QR decomposition whose R has a diagonal that is not negative."""
    compact, tau = ops.geqrf(tall)
    signs = compact.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
    return ops.linalg_householder_product(compact, tau) * signs  # type: ignore[no-any-return]


# Weight normalisation


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Trains the norm of each slice of ``dim`` (of all for None) and the direction apart; returns the module.

    They are ``parametrizations.weight.original0`` and ``original1``. State that was saved under the old names,
    ``weight_g`` and ``weight_v``, can be loaded.

    Source: Salimans and Kingma, https://arxiv.org/abs/1602.07868.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        old = [f"{prefix}{name}_{letter}" for letter in "gv"]
        if all(key in state_dict for key in old):
            for number, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{number}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _WeightNorm(Module):
    """Scales each slice of one tensor to the norm that another gives."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Shape: (…1, n, 1…), (…, n, …) -> (…, n, …)."""
        return scaled_direction(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The norms, and the weight itself as the direction."""
        return norm_except_dim(weight, self.dim), weight


# Spectral normalisation


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """Divides a weight by its largest singular value; returns the module.

    The power method estimates it: iterations start when this is called, and go on whenever the weight is read in
    training.

    Args:
        module: whose weight it is.
        name: its name.
        n_power_iterations: how many there are for each reading.
        eps: the least that vectors are divided by.
        dim: the dim of the weight that counts outputs; by default 1 for transposed convolutions, else 0.

    Source: Miyato et al., https://arxiv.org/abs/1802.05957.
    """
    weight = _tensor_of(module, name)
    made = _SpectralNorm(weight, n_power_iterations, outputs_dim(module) if dim is None else dim, eps)
    register_parametrization(module, name, made)
    return module


class _SpectralNorm(Module):
    """Divides by the largest singular value, or a vector by its norm."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = rows_of(weight, self.dim)
            for side, size in zip("uv", matrix.shape, strict=True):
                self.register_buffer(f"_{side}", unit(matrix.new_empty(size).normal_(0, 1), eps))
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(unit(ops.mv(matrix, self._v), self.eps))
            self._v.copy_(unit(ops.mv(matrix.mH, self._u), self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """Shape: any -> the same."""
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = rows_of(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # The next reading changes the buffers before this one's backward.
        u, v = self._u.clone(), self._v.clone()
        return weight / ops.vdot(u, ops.mv(matrix, v))  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value
