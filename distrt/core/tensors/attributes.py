"""What a tensor is: its sizes, its element type, and where its elements lie. The first base class of ``Tensor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import Array, address_of, dim_order, memory_of
from distrt.core.device import CPU, META, device
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError
from distrt.core.gpu.places import device_of, is_pinned
from distrt.core.layouts import seen
from distrt.core.sparse.array import is_sparse
from distrt.core.tensors import formats
from distrt.core.tensors.size import Size, one_of
from distrt.core.tensors.versions import INFERENCE, Counter

if TYPE_CHECKING:
    from distrt.core.storage.storage import TypedStorage, UntypedStorage

_new_tuple: Any = tuple.__new__  # a shape is a tuple of integers already


class Attributes:
    """The attributes that follow from the array alone."""

    _array: Array
    _inner: Array | None
    _counter: Counter

    # -- sizes

    @property
    def shape(self) -> Size:
        """The size of each dim."""
        inner: Any = self._inner
        return _new_tuple(Size, (self._array if inner is None else inner).shape)  # type: ignore[no-any-return]

    def size(self, dim: int | None = None) -> Any:
        """The sizes, or the size of one dim.

        Raises:
            DimensionError: for a dim that is not there.
        """
        shape = seen(self).shape
        return _new_tuple(Size, shape) if dim is None else one_of("size", shape, dim)

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return int(seen(self).ndim)

    def dim(self) -> int:
        """The number of dims."""
        return int(seen(self).ndim)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return int(seen(self).size)

    nelement = numel

    def is_same_size(self, other: Attributes) -> bool:
        """True where the other tensor has the same sizes."""
        _require_tensor("is_same_size", other)
        return bool(seen(self).shape == seen(other).shape)

    # -- elements

    @property
    def dtype(self) -> dt.dtype:
        """The element type."""
        return dt.of(seen(self))

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return int(seen(self).itemsize)

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self._array.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take together."""
        return int(self._array.size * self._array.itemsize)

    def is_floating_point(self) -> bool:
        """True for float16, bfloat16, float32 and float64."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """True for complex64 and complex128."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """True where negative values exist."""
        return self.dtype.is_signed

    # -- memory

    def stride(self, dim: int | None = None) -> Any:
        """The step from one element to the next along each dim, in elements.

        Raises:
            DimensionError: for a dim that is not there.
        """
        itemsize = self._array.itemsize
        steps = [step // itemsize for step in self._array.strides]
        if 0 in steps:
            _correct(steps, self._array.shape)
        return tuple(steps) if dim is None else one_of("stride", steps, dim)

    def is_contiguous(self, *, memory_format: formats.memory_format = formats.contiguous_format) -> bool:
        """True where the elements stand in memory in row-major order, or in that of the format."""
        if memory_format is formats.contiguous_format:
            return self._inner is not None or bool(self._array.flags.c_contiguous)
        return formats.is_arranged(self._array, memory_format)

    def dim_order(self, *, ambiguity_check: Any = False) -> tuple[int, ...]:
        """The dims from the outermost in memory to the innermost.

        Args:
            ambiguity_check: True: raise where another order says the same, as a dim of size 1 has it. A list of
                memory formats: but where exactly one of them is this tensor's.

        Raises:
            RuntimeError: for a tensor of several orders, where that is asked for.
            TypeError: for another ``ambiguity_check``.
        """
        if ambiguity_check is not False:
            self._require_one_order(ambiguity_check)
        return tuple(dim_order(self._array))

    def _require_one_order(self, check: Any) -> None:
        allowed = check if isinstance(check, list) else []
        if check is not True and not (
            isinstance(check, list) and all(isinstance(each, formats.memory_format) for each in check)
        ):
            raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
        steps = self.stride()
        if 0 in steps:
            raise RuntimeError("The tensor does not have unique dim order.")
        several = 1 in self.shape or len(set(steps)) < len(steps)
        if several and sum(self.is_contiguous(memory_format=each) for each in allowed) != 1:
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one of the given memory formats."
            )

    def data_ptr(self) -> int:
        """The address of the first element; 0 where there is none."""
        return address_of(self._array) if self._array.size and not self.is_meta else 0

    def storage_offset(self) -> int:
        """Elements between the start of the memory that this tensor lies in and its first element."""
        return (address_of(self._array) - address_of(memory_of(self._array))) // int(self._array.itemsize)

    def is_set_to(self, tensor: Attributes) -> bool:
        """True where the other tensor shows the same elements of the same memory."""
        _require_tensor("is_set_to", tensor)
        return (
            address_of(self._array) == address_of(tensor._array)
            and self._array.shape == tensor._array.shape
            and self.stride() == tensor.stride()
            and self.dtype is tensor.dtype
        )

    def untyped_storage(self) -> UntypedStorage:
        """The memory that this tensor lies in, as bytes; its views have the same."""
        from distrt.core.storage.storage import UntypedStorage

        return UntypedStorage._around(self._array)

    def storage(self) -> TypedStorage:
        """The memory that this tensor lies in, as elements in one row; its views have the same."""
        from distrt.core.storage.storage import TypedStorage

        return TypedStorage._around(self._array)

    _typed_storage = storage

    # -- place

    @property
    def device(self) -> device:
        """Where the memory is."""
        array = self._array if self._inner is None else self._inner
        return CPU if array.__class__ is np.ndarray else device_of(array)

    def get_device(self) -> int:
        """The number of the GPU that the tensor is on; -1 for the CPU."""
        index = self.device.index
        return -1 if index is None else index

    @property
    def is_cpu(self) -> bool:
        """True for a tensor in the memory of the CPU."""
        return self.device is CPU

    @property
    def is_cuda(self) -> bool:
        """True for a tensor in the memory of a GPU."""
        return self.device.type == "cuda"

    @property
    def is_meta(self) -> bool:
        """True for a tensor without data."""
        return self.device is META

    @property
    def layout(self) -> formats.layout:
        """``distrt.strided``, or how a sparse tensor says where its elements are."""
        array = self._array if self._inner is None else self._inner
        return array.layout if is_sparse(array) else formats.strided

    @property
    def is_sparse(self) -> bool:
        """True for the layout ``distrt.sparse_coo``."""
        return self.layout is formats.sparse_coo

    @property
    def is_sparse_csr(self) -> bool:
        """True for the layout ``distrt.sparse_csr``."""
        return self.layout is formats.sparse_csr

    def is_pinned(self, device: Any = None) -> bool:
        """True where the memory is page-locked for copies to a GPU."""
        return is_pinned(self._array)

    def is_distributed(self) -> bool:
        """False, as in PyTorch."""
        return False

    def is_inference(self) -> bool:
        """True for a tensor that was made under ``inference_mode``."""
        return self._counter is INFERENCE

    def is_conj(self) -> bool:
        """False: ``conj`` computes at once."""
        return False

    def is_neg(self) -> bool:
        """False: negation computes at once."""
        return False

    @property
    def _version(self) -> int:
        if self._counter is INFERENCE:
            raise AutogradError("Inference tensors do not track version counter.")
        return int(self._counter[0])

    # -- what it is not

    is_ipu = False
    is_maia = False
    is_mkldnn = False
    is_mps = False
    is_mtia = False
    is_nested = False
    is_quantized = False
    is_vulkan = False
    is_xla = False
    is_xpu = False


def _require_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Attributes):
        raise TypeError(f"{name}(): argument 'other' (position 1) must be Tensor, not {type(value).__name__}")


def _correct(steps: list[int], shape: tuple[int, ...]) -> None:
    """Gives dims the steps that PyTorch gives them, where NumPy made them 0: all of an empty array, new ones of size 1.

    Expanded dims keep theirs.
    """
    for dim in reversed(range(len(steps))):
        if steps[dim] == 0 and (shape[dim] == 1 or 0 in shape):
            steps[dim] = steps[dim + 1] * max(shape[dim + 1], 1) if dim + 1 < len(steps) else 1
