"""Messages for TensorBoard that tensorboardX does not make, or makes otherwise than PyTorch."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from distrt.core.tensor import Tensor

__all__ = ["array_of", "mesh", "number", "scalar", "sound", "tensor"]

#: What TensorBoard calls our dtypes.
_DTYPES = {
    "float16": "DT_HALF",
    "bfloat16": "DT_BFLOAT16",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "int8": "DT_INT8",
    "uint8": "DT_UINT8",
    "int16": "DT_INT16",
    "int32": "DT_INT32",
    "int64": "DT_INT64",
    "bool": "DT_BOOL",
    "complex64": "DT_COMPLEX64",
    "complex128": "DT_COMPLEX128",
}


def array_of(values: Any) -> Any:
    """A tensor's array; what is none stays."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def number(value: Any) -> float:
    """One number, out of a tensor or array of one element, too.

    Raises:
        AssertionError: there are several.
        NotImplementedError: there is nothing.
        ValueError: it is none.
    """
    if value is None:
        raise NotImplementedError(f"Got {type(value)}, but numpy array or torch tensor are expected.")
    array = np.squeeze(np.asarray(array_of(value)))
    if array.ndim:
        raise AssertionError(
            f"Tensor should contain one element (0 dimensions). Was given size: {array.size} and "
            f"{array.ndim} dimensions."
        )
    return float(array)


def mesh(tag: str, vertices: Any, colors: Any, faces: Any, settings: Any) -> Any:
    """Points of space; the parts are called ``tag_VERTEX`` and so on, where tensorboardX puts numbers."""
    from tensorboardX import summary
    from tensorboardX.proto.plugin_mesh_pb2 import MeshPluginData

    message = summary.mesh(tag, vertices, colors, faces, settings)
    for each in message.value:
        number_of_part = int(each.tag.rpartition("_")[2])
        each.tag = f"{tag}_{MeshPluginData.ContentType.Name(number_of_part)}"
    return message


def scalar(tag: str, value: float, new_style: bool, is_double: bool) -> Any:
    """A point of a curve; in the new style a tensor, of 64 bits where asked."""
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboardX.proto.tensor_pb2 import TensorProto

    if not new_style:
        return Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    kept = (
        TensorProto(double_val=[value], dtype="DT_DOUBLE")
        if is_double
        else TensorProto(float_val=[value], dtype="DT_FLOAT")
    )
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    return Summary(value=[Summary.Value(tag=tag, tensor=kept, metadata=about)])


def tensor(tag: str, value: Tensor) -> Any:
    """All of a tensor.

    Raises:
        ValueError: a dtype that TensorBoard does not have, or 2 GB or more.
    """
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboardX.proto.tensor_pb2 import TensorProto
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    name = str(value.dtype).rpartition(".")[2]
    if value.nbytes >= 1 << 31:
        raise ValueError("tensor is bigger than protocol buffer's hard limit of 2GB in size")
    if name not in _DTYPES:
        raise ValueError(f"{tag} has unsupported tensor dtype {value.dtype}")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in value.shape])
    content = value.detach()._array.tobytes()
    kept = TensorProto(dtype=_DTYPES[name], tensor_shape=shape, tensor_content=content)
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="tensor"))
    return Summary(value=[Summary.Value(tag=tag, tensor=kept, metadata=about)])


def sound(tag: str, values: Any, sample_rate: int) -> Any:
    """A sound of one channel, as a WAV file of 16 bits.

    Raises:
        AssertionError: it has more than one channel.
    """
    from tensorboardX.proto.summary_pb2 import Summary

    array = np.squeeze(values)
    if array.size and abs(array).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        array = array.clip(-1, 1)
    if array.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(sample_rate)
        written.writeframes((array * np.iinfo(np.int16).max).astype("<i2").tobytes())
    audio = Summary.Audio(
        sample_rate=sample_rate,
        num_channels=1,
        length_frames=array.size,
        encoded_audio_string=file.getvalue(),
        content_type="audio/wav",
    )
    return Summary(value=[Summary.Value(tag=tag, audio=audio)])
