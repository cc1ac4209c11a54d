"""Every exception that distrt raises on purpose.

    DistrtError
    ├── ShapeError (RuntimeError)            sizes that do not fit
    ├── DtypeError (RuntimeError)            a dtype that an operation does not take
    │   └── NoKernelError (NotImplementedError)  one that PyTorch has no kernel for either
    ├── OutOfMemoryError (RuntimeError)      a GPU without room; PyTorch's name
    ├── AcceleratorError (RuntimeError)      a GPU that failed; PyTorch's name
    ├── CaptureError (RuntimeError)          what cannot be in a CUDA graph
    ├── DeviceError (RuntimeError)           a device that is missing, or two that differ
    │   └── DeviceMissing (AssertionError)   a GPU on a machine without one: either builtin catches it
    ├── DimensionError (IndexError)          a dim or an index out of range
    ├── DataError (ValueError)               data that cannot become a tensor
    ├── LinAlgError (RuntimeError)           a singular matrix, or an algorithm that did not converge
    ├── AutogradError (RuntimeError)         freed graphs, in-place edits of needed values, non-scalar roots
    ├── CheckpointError (RuntimeError)       a file that is damaged, hostile or cannot be written
    │   ├── EmptyFileError (EOFError)        a file that ends where something should begin
    │   └── (distrt.files) UnpicklingError (pickle.UnpicklingError)  what a file asks for, and must not have
    ├── DownloadError (RuntimeError, OSError)  a file that cannot be fetched
    ├── DatasetError (RuntimeError, OSError)  a data set whose files are missing, damaged or hostile
    ├── ScriptError (RuntimeError)           a function that cannot be compiled, or a program's own error
    ├── UnsupportedError (NotImplementedError)  what distrt leaves out, and what to use instead
    └── DistributedError (RuntimeError)      anything that involves more than one rank
        ├── RendezvousError                  the ranks did not find one another
        │   ├── AuthenticationError          a peer without the job's secret
        │   ├── SettingError (ValueError)    a rank, a size or an address that is missing, malformed or contradicted
        │   ├── DistNetworkError             an address where nobody answers, or that cannot be served
        │   └── DistStoreError               a key that did not come, or a request that the store refuses
        │       └── QueueEmptyError          a queue of the store without an element
        ├── NoGroupError (ValueError)        a process group that is not there, or not any more
        └── DistBackendError                 what fails between ranks that have found one another
            ├── CollectiveMismatch               ranks called different collectives
            ├── CollectiveTimeout (TimeoutError) a rank did not come in time
            └── PeerFailed                       a rank died or left while others needed it

Each class also derives from the builtin that PyTorch users catch. This file imports nothing, so the launcher
can use it without loading NumPy.
"""


class DistrtError(Exception):
    """Root of the hierarchy."""


class ShapeError(DistrtError, RuntimeError):
    """Sizes that do not fit together."""


class DtypeError(DistrtError, RuntimeError):
    """A dtype that an operation does not take."""


class NoKernelError(DtypeError, NotImplementedError):
    """A dtype that an operation is not defined for, where PyTorch raises ``NotImplementedError``."""


class OutOfMemoryError(DistrtError, RuntimeError):
    """A GPU without room for a tensor, by PyTorch's name: scripts catch it and try a smaller batch."""


class CaptureError(DistrtError, RuntimeError):
    """What cannot be captured in a CUDA graph: a wait for the GPU, or a copy from memory that is soon another's."""


class AcceleratorError(DistrtError, RuntimeError):
    """A GPU that failed, by PyTorch's name."""


class DeviceError(DistrtError, RuntimeError):
    """A device that is not there, or two devices in one operation."""


class NoDataError(DistrtError, NotImplementedError):
    """Something that needs the data of a tensor on the meta device, which has none."""


class DeviceMissing(DeviceError, AssertionError):  # noqa: N818 - named for what is the case
    """A device that this machine does not have.

    PyTorch raises AssertionError where it was built without CUDA, RuntimeError where no GPU is found.
    """


class DimensionError(DistrtError, IndexError):
    """A dim or an index out of range."""


class DataError(DistrtError, ValueError):
    """Data that cannot become a tensor: ragged lists, arrays that go backwards, buffers of a wrong size."""


class NumberError(DistrtError, TypeError):
    """An element of data that is no number, such as text or None."""


class LinAlgError(DistrtError, RuntimeError):
    """A matrix without the property that an operation needs, or an algorithm that did not converge."""


class AutogradError(DistrtError, RuntimeError):
    """A backward pass that cannot be run."""


class CheckpointError(DistrtError, RuntimeError):
    """A file that is damaged, that asks for what it must not have, or that cannot be written."""


class EmptyFileError(CheckpointError, EOFError):
    """A file that ends where something should begin."""


class DownloadError(DistrtError, RuntimeError, OSError):
    """A file that cannot be fetched, or is not what it should be."""


class DatasetError(DistrtError, RuntimeError, OSError):
    """A data set whose files are missing, damaged or hostile."""


class UnsupportedError(DistrtError, NotImplementedError):
    """Something that distrt leaves out on purpose; the message says what to use instead."""


class ScriptError(DistrtError, RuntimeError):
    """A function that ``jit.script`` cannot compile, or a program that ends in an error of its own."""


class DistributedError(DistrtError, RuntimeError):
    """Anything that involves more than one rank."""


class RendezvousError(DistributedError):
    """The ranks of a job did not find one another."""


class AuthenticationError(RendezvousError):
    """A peer that does not hold the job's secret."""


class SettingError(RendezvousError, ValueError):
    """What a process was told of its job is missing, malformed or contradicts itself."""


class DistNetworkError(RendezvousError):
    """An address where nobody answers, or that cannot be served."""


class DistStoreError(RendezvousError):
    """A key that did not come in time, or a request that the store refuses."""


class QueueEmptyError(DistStoreError):
    """A queue of the store that has no element."""


class NoGroupError(DistributedError, ValueError):
    """A process group that was not initialized, or was destroyed."""


class DistBackendError(DistributedError):
    """Something that failed between ranks that had found one another."""


class CollectiveMismatch(DistBackendError):  # noqa: N818 - named for what happened, as the field does
    """Ranks called collectives that do not match."""


class CollectiveTimeout(DistBackendError, TimeoutError):  # noqa: N818
    """A rank did not arrive within the group's time-out."""


class PeerFailed(DistBackendError):  # noqa: N818
    """A rank died, or left, while others needed it."""
