"""Where loaded storages go: ``map_location``, and what packages register for devices of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from distrt.core.device import META, device
from distrt.core.errors import CheckpointError
from distrt.core.gpu import library
from distrt.core.gpu.places import moved
from distrt.core.storage.storage import TypedStorage, UntypedStorage
from distrt.files.faults import callers_code

__all__ = ["default_restore_location", "location_tag", "register_package", "restorer"]

_Tagger = Callable[[Any], str | None]
_Deserializer = Callable[[Any, str], Any]

_registry: list[tuple[int, _Tagger, _Deserializer]] = []


def register_package(priority: int, tagger: _Tagger, deserializer: _Deserializer) -> None:
    """Registers how storages of a device are tagged in a file, and how they get back there.

    Args:
        priority: the lower, the earlier it is asked.
        tagger: gives the tag of a storage, or None.
        deserializer: takes a storage and its tag, and gives the storage on the device, or None.
    """
    _registry.append((priority, tagger, deserializer))
    _registry.sort(key=lambda entry: entry[0])


def location_tag(storage: Any) -> str:
    """The tag of a storage's device, such as ``cpu``.

    Raises:
        RuntimeError: for a storage that nobody has a tag for.
    """
    for _, tagger, _ in _registry:
        found = tagger(storage)
        if found:
            return found
    raise CheckpointError(f"don't know how to determine data location of {_kind(storage)}")


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage on the device that a tag names.

    Raises:
        RuntimeError: for a device that is not there, or that nobody knows.
    """
    for _, _, deserializer in _registry:
        found = deserializer(storage, location)
        if found is not None:
            return found
    raise CheckpointError(
        f"don't know how to restore data location of {_kind(storage)} (tagged with {location})"
    )


def restorer(map_location: Any) -> Callable[[UntypedStorage, str], Any]:
    """The function that puts a storage where ``map_location`` says."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, tag: default_restore_location(storage, map_location.get(tag, tag))
    if isinstance(map_location, str | bytes | device):
        name = map_location.decode() if isinstance(map_location, bytes) else str(map_location)
        return lambda storage, tag: default_restore_location(storage, name)

    def restore(storage: UntypedStorage, tag: str) -> Any:
        found = map_location(storage, tag)
        return default_restore_location(storage, tag) if found is None else found

    return restore


def placed(
    storage: UntypedStorage, location: str, restore: Callable[[UntypedStorage, str], Any]
) -> UntypedStorage:
    """The storage where ``restore`` puts it.

    Raises:
        TypeError: where that is no storage.
    """
    with callers_code():
        found = restore(storage, location)
        if isinstance(found, TypedStorage):
            found = found.untyped()
        if not isinstance(found, UntypedStorage):
            raise TypeError(f"map_location must give a storage, got {type(found).__name__}")
        if found.nbytes() != storage.nbytes():
            raise TypeError(f"map_location must give a storage of the same size: {storage.nbytes()} bytes")
        return found


def _kind(storage: Any) -> str:
    return f"torch.storage.{type(storage).__name__}"


def _is_on(name: str) -> _Tagger:
    return lambda storage: str(storage.device) if storage.device.type == name else None


def _to_cpu(storage: Any, location: str) -> Any:
    return storage if location == "cpu" else None


def _to_meta(storage: Any, location: str) -> Any:
    if location == "meta":
        return storage._of(moved(storage._row, META))
    return None


def _to_missing(name: str) -> _Deserializer:
    """The error for a GPU or the like that this machine does not have."""

    def refuse(storage: Any, location: str) -> None:
        if re.match(f"{name}(:|[0-9]+|$)", location):
            raise CheckpointError(
                f"Attempting to deserialize object on a {name.upper()} device but torch.{name}.is_available() is "
                "False. If you are running on a CPU-only machine, please use torch.load with "
                "map_location=torch.device('cpu') to map your storages to the CPU."
            )

    return refuse


def _to_gpu(storage: Any, location: str) -> Any:
    if not re.match(r"cuda(:|[0-9]+|$)", location):
        return None
    if not library.device_count():
        return _to_missing("cuda")(storage, location)
    return storage.cuda(device(location))


register_package(10, _is_on("cpu"), _to_cpu)
register_package(20, _is_on("cuda"), _to_gpu)
for _priority, _name in ((21, "mps"), (24, "hpu"), (25, "xpu"), (26, "mtia")):
    register_package(_priority, _is_on(_name), _to_missing(_name))
register_package(22, _is_on("meta"), _to_meta)
