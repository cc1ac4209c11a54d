"""What ranks do with the cases of ``distributed_cases.py``: a script for ``side_by_side``, under PyTorch and distrt.

Each case is computed with tensors that lie on the ranks, and with the whole ones; rank 0 prints what both gave.
"""

import json
import sys
import warnings

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

NAMES = {
    "torch": torch,
    "F": F,
    "DTensor": DTensor,
    "Partial": Partial,
    "Replicate": Replicate,
    "Shard": Shard,
    "distribute_tensor": distribute_tensor,
}


def values_of(name, shape):
    random = np.random.RandomState(sum(map(ord, name)) + len(shape) * 7 + sum(shape))
    return random.randint(0, min(shape[-1], 3), shape) if name[0] == "i" else random.standard_normal(shape)


def placement_of(text):
    return Replicate() if text == "R" else Partial() if text == "P" else Shard(int(text[1:]))


def distributed(whole, placements, mesh):
    copies = [Replicate() if each.is_partial() else each for each in placements]
    made = distribute_tensor(whole, mesh, copies)
    if not any(each.is_partial() for each in placements):
        return made
    local = made.to_local()
    for dim, each in enumerate(placements):
        if each.is_partial():  # rank r has r + 1 of the summands
            count, rank = mesh.size(dim), mesh.get_local_rank(dim)
            local = local * (rank + 1) * (2 / count / (count + 1))
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=whole.size(), stride=whole.stride()
    )


def told(value):
    """A result in plain values; of a tensor that lies on ranks, how it does."""
    if isinstance(value, list | tuple):
        return [told(each) for each in value]
    if isinstance(value, DTensor):
        found = told(value.full_tensor())
        return found | {"placements": [repr(each) for each in value.placements]}
    if isinstance(value, torch.Tensor):
        kind = str(value.dtype).rpartition(".")[2]
        return {"shape": list(value.shape), "dtype": kind, "value": value.detach().double().tolist()}
    return {"value": value if isinstance(value, int | float | str) else str(value)}


def computed(case, mesh, how, is_distributed):
    """What an expression gives, and the gradients of what it was given."""
    expression, inputs = case
    leaves = {}
    for name, shape, placements in inputs:
        leaf = torch.tensor(values_of(name, shape))
        if is_distributed:
            leaf = distributed(leaf, [placement_of(each) for each in placements], mesh)
        if how == "gradients" and leaf.is_floating_point():
            leaf.requires_grad_(True)
        leaves[name] = leaf
    beside = {"mesh": mesh, "t": torch.tensor(values_of("t", (4, 6))), "s": torch.tensor(2.0).double()}
    beside["lying"] = lambda x, *placements: x.redistribute(placements=placements) if is_distributed else x
    found = {}
    try:
        result = eval(expression, {**NAMES, **beside, **leaves})
        found["result"] = told(result)
        if how == "changes":
            found["x"] = told(leaves["x"])
        if how == "gradients" and isinstance(result, torch.Tensor) and result.requires_grad:
            loss = result
            if result.ndim:
                weights = torch.arange(1.0, result.numel() + 1).reshape(tuple(result.shape)).to(result.dtype)
                if is_distributed:
                    weights = distribute_tensor(weights, mesh, [Replicate()] * mesh.ndim)
                loss = (result * weights).sum()
            loss.backward()
            found["gradients"] = [told(each.grad) for each in leaves.values() if each.grad is not None]
    except Exception as error:
        return found | {"error": [each.__name__ for each in type(error).__mro__], "text": str(error)[:300]}
    return found


def parsed(case):
    """An expression, and (name, shape, placements) of its inputs."""
    parts = case.lstrip("! ").split(" | ")
    first = next((place for place, each in enumerate(parts) if len(each.split()) == 3 and place), len(parts))
    inputs = []
    for each in parts[first:]:
        name, shape, placements = each.split()
        inputs.append((name, tuple(map(int, shape.split(","))), placements.split(",")))
    return " | ".join(parts[:first]), inputs


def run(groups):
    """What each case gives: (title, how, mesh shape, cases)."""
    found = {}
    for title, how, shape, cases in groups:
        mesh = init_device_mesh("cpu", shape)
        for case in cases:
            one = parsed(case)
            whole = {} if how == "errors" else computed(one, mesh, how, False)
            found[f"{title}: {case}"] = {"whole": whole, "parts": computed(one, mesh, how, True)}
            dist.barrier()  # an error of one rank alone shows where it is
    return found


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    from tests.multiprocess.distributed_cases import groups_for

    dist.init_process_group("gloo")
    found = run(groups_for(dist.get_world_size()))
    if dist.get_rank() == 0:
        json.dump(found, sys.stdout)
    dist.barrier()
    dist.destroy_process_group()
