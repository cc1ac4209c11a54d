"""Facade: PyTorch's ``torch.hub``. What it does is in ``distrt.files.hub``."""

from urllib.parse import urlparse  # noqa: F401 - libraries take it from here

from distrt.files.hub import CHECKSUM as HASH_REGEX  # noqa: F401 - libraries take it from here
from distrt.files.hub import (
    download_url_to_file,
    get_dir,
    help,
    list,
    load,
    load_state_dict_from_url,
    set_dir,
)

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]
