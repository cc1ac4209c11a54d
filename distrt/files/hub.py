"""Weights from a file that is kept, or fetched once: PyTorch's ``torch.hub``, without code from repositories.

Source: https://pytorch.org/docs/stable/hub.html.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, NoReturn
from urllib.parse import urlparse

from distrt.core.errors import UnsupportedError
from distrt.files.downloads import download
from distrt.files.loading import load as _load_file

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

#: What a file's name ends with where it has a checksum: ``resnet18-f37072fd.pth``.
CHECKSUM = re.compile(r"-([a-f0-9]*)\.")

_folder: str | None = None  # what set_dir was given


def get_dir() -> str:
    """The folder for what is fetched: ``$TORCH_HOME/hub``, else ``$XDG_CACHE_HOME/torch/hub``, else in ``~/.cache``."""
    if _folder is not None:
        return _folder
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))
    return os.path.join(home, "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Sets the folder for what is fetched."""
    global _folder
    _folder = os.path.expanduser(os.fspath(d))


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """Loads a file of weights, which is fetched if the folder does not have it.

    Args:
        url: where it is; the last part is the name of the file in the folder, unless there is ``file_name``.
        model_dir: the folder; by default ``checkpoints`` in that of :func:`get_dir`.
        map_location: as in ``distrt.load``.
        progress: tell how far a download is.
        check_hash: what is fetched must have the SHA-256 that its name ends with (``name-<digits>.ext``).
        file_name: another name in the folder.
        weights_only: tensors and containers alone.

    Raises:
        DownloadError: (a RuntimeError and an OSError) where the file is neither there nor to be had.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else os.path.expanduser(model_dir)
    name = os.path.basename(urlparse(url).path) if file_name is None else file_name
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = CHECKSUM.search(name) if check_hash else None
        download(url, path, sha256_prefix=found.group(1) if found else None, progress=progress)
    loaded: dict[str, Any] = _load_file(path, map_location=map_location, weights_only=weights_only or None)
    return loaded


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Fetches a file to ``dst``; its SHA-256 must begin with ``hash_prefix``. A file that is there is replaced."""
    if os.path.exists(dst):
        os.unlink(dst)
    download(url, dst, sha256_prefix=hash_prefix, progress=progress)


def load(repo_or_dir: Any, model: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Refused: distrt runs no code out of repositories. Raises UnsupportedError."""
    raise UnsupportedError(
        f"hub.load({repo_or_dir!r}, {model!r}): distrt runs no code out of repositories; import the model's "
        "module, and load its weights with hub.load_state_dict_from_url"
    )


def list(github: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Refused, as :func:`load`. Raises UnsupportedError."""
    load(github, "")


def help(github: Any, model: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Refused, as :func:`load`. Raises UnsupportedError."""
    load(github, model)
