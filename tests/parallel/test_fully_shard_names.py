"""The names of sharded training, at PyTorch's paths and with its arguments."""

import importlib
import inspect

import pytest

#: Of annotations.
TYPES = set("DictValueType FQNS_T ListDictValueType OptimizerStateType PrimitiveType ValueType".split())
PATHS = {
    "distributed.fsdp": {"FlatParameter"},
    "distributed.fsdp.wrap": set(),
    "distributed._composable.fsdp": set(),
    "distributed.tensor.placement_types": set(),
    "distributed.checkpoint.state_dict": TYPES,
}
FUNCTIONS = [
    ("distributed.fsdp", "fully_shard"),
    ("distributed.fsdp", "FullyShardedDataParallel"),
    ("distributed.fsdp", "MixedPrecision"),
    ("distributed.fsdp", "MixedPrecisionPolicy"),
    ("distributed.fsdp", "register_fsdp_forward_method"),
    ("distributed.fsdp.sharded_grad_scaler", "ShardedGradScaler"),
    ("distributed.fsdp.wrap", "size_based_auto_wrap_policy"),
    ("distributed.fsdp.wrap", "transformer_auto_wrap_policy"),
    ("distributed.tensor", "distribute_tensor"),
    ("distributed.checkpoint.state_dict", "get_state_dict"),
    ("distributed.checkpoint.state_dict", "set_state_dict"),
    ("distributed.checkpoint.state_dict", "set_model_state_dict"),
    ("distributed.checkpoint.state_dict", "StateDictOptions"),
]


@pytest.mark.parametrize("path", PATHS)
def test_every_public_name_is_there(torch, path):
    theirs, mine = (importlib.import_module(f"{library}.{path}") for library in ("torch", "distrt"))
    names = set(getattr(theirs, "__all__", ())) - PATHS[path]
    assert {name for name in names if not hasattr(mine, name)} == set()


@pytest.mark.parametrize(("path", "name"), FUNCTIONS)
def test_arguments_have_pytorchs_names_and_order(torch, path, name):
    theirs, mine = (
        getattr(importlib.import_module(f"{library}.{path}"), name) for library in ("torch", "distrt")
    )
    assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)


def test_methods_of_sharded_modules_have_pytorchs_names(torch):
    theirs, mine = (
        importlib.import_module(f"{library}.distributed.fsdp").FSDPModule for library in ("torch", "distrt")
    )
    left_out = {"set_symm_mem_for_comm"}  # of accelerators
    names = {name for name in vars(theirs) if not name.startswith("_")}
    assert {name for name in names if not hasattr(mine, name)} == left_out
