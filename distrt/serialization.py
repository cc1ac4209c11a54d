"""``distrt.serialization``: what PyTorch users find in ``torch.serialization``."""

from distrt.files.faults import UnpicklingError as UnpicklingError
from distrt.files.inspection import get_unsafe_globals_in_checkpoint
from distrt.files.loading import load
from distrt.files.locations import default_restore_location, location_tag, register_package
from distrt.files.registered import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from distrt.files.saving import save
from distrt.files.settings import (
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)

__all__ = [
    "LoadEndianness",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]
