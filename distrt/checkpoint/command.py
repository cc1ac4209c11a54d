"""``distrt checkpoint ls|verify|convert``: looks at checkpoints, compares them with their checksums, converts them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from distrt.checkpoint.conversion import (
    dcp_to_torch_save,
    torch_save_to_dcp,
    write_checkpoint,
    write_safetensors,
)
from distrt.checkpoint.opening import is_checkpoint, opened
from distrt.checkpoint.run import found_in
from distrt.core.errors import CheckpointError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CheckpointError, OSError) as fault:
        print(f"distrt checkpoint: {fault}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="distrt", description="Tools around distrt.")
    checkpoint = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "checkpoint", help="look at checkpoints of runs"
    )
    commands = checkpoint.add_subparsers(required=True, metavar="COMMAND")
    for name, run, said in (
        ("ls", _ls, "list the checkpoints of a run, or the tensors and values of one"),
        ("verify", _verify, "compare a checkpoint, or all of a run, with their checksums"),
        ("convert", _convert, "a checkpoint to a file or to another format's, or a file to a checkpoint"),
    ):
        command = commands.add_parser(name, help=said, description=f"{said[0].upper()}{said[1:]}.")
        command.add_argument(
            "path", help="a run's folder, whose newest whole checkpoint is taken, or a checkpoint"
        )
        if name == "convert":
            command.add_argument("target", help="a file that ends in .pt, .pth or .safetensors, or a folder")
            command.add_argument(
                "--as",
                dest="library",
                choices=("distrt", "pytorch"),
                help="write a folder: distrt's checkpoint, or PyTorch's (torch.distributed.checkpoint)",
            )
        command.set_defaults(run=run)
    return parser


def _ls(options: argparse.Namespace) -> int:
    if is_checkpoint(options.path):
        for name, entry in opened(options.path).manifest.entries.items():
            if entry.is_tensor:
                print(f"{name}  {entry.dtype} {list(entry.shape)}")
            else:
                print(f"{name}  {'object' if entry.is_object else repr(entry.value)[:60]}")
        return 0
    for path in _of_run(options.path):
        try:
            manifest = opened(path).manifest
        except CheckpointError as fault:
            print(f"{os.path.basename(path)}  damaged: {fault}")
            continue
        about, size = manifest.about, sum(manifest.files.values())
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(about.get("time", 0)))
        print(
            f"{os.path.basename(path)}  {when}  {size / 1e6:.1f} MB  "
            f"{about.get('world_size')} rank(s)  distrt {about.get('distrt')}"
        )
    return 0


def _verify(options: argparse.Namespace) -> int:
    damaged = 0
    for path in [options.path] if is_checkpoint(options.path) else _of_run(options.path):
        faults = _faults(path)
        damaged += bool(faults)
        print(f"{os.path.basename(os.path.abspath(path))}  {'; '.join(faults) or 'whole'}")
    return 1 if damaged else 0


def _faults(path: str) -> list[str]:
    """All that is wrong with a checkpoint."""
    try:
        saved = opened(path)
    except CheckpointError as fault:
        return [str(fault)]
    found = []
    for name in saved.names:
        try:
            saved.verify(name)
        except CheckpointError as fault:
            found.append(str(fault))
    return found


def _convert(options: argparse.Namespace) -> int:
    if os.path.isfile(options.path):
        if options.library == "pytorch":
            raise CheckpointError("a file becomes a checkpoint of distrt's; convert that one --as pytorch")
        torch_save_to_dcp(options.path, options.target)
        return 0
    source = options.path if is_checkpoint(options.path) else _newest(options.path)
    if options.library is not None:
        write_checkpoint(source, options.target, as_pytorch=options.library == "pytorch")
    elif options.target.endswith(".safetensors"):
        left_out = write_safetensors(source, options.target)
        if left_out:
            print(f"left out, for it is no tensor: {', '.join(left_out)}")
    elif options.target.endswith((".pt", ".pth")):
        dcp_to_torch_save(source, options.target)
    else:
        raise CheckpointError(
            f"{options.target}: a file that ends in .pt, .pth or .safetensors was expected, or --as"
        )
    print(f"{source} -> {options.target}")
    return 0


def _of_run(folder: str) -> list[str]:
    found = [each.path for each in found_in(folder)]
    if not found:
        raise CheckpointError(f"{folder} has no checkpoint")
    return found


def _newest(folder: str) -> str:
    """The newest checkpoint that is whole; those that are passed over are named."""
    for path in _of_run(folder):
        faults = _faults(path)
        if not faults:
            return path
        print(f"{os.path.basename(path)} is passed over: {faults[0]}", file=sys.stderr)
    raise CheckpointError(f"no checkpoint in {folder} is whole")
