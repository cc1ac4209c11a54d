"""Models on several GPUs, each called with its own inputs in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ALL_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, NamedTuple

from distrt.amp.autocast_mode import autocast
from distrt.core.autocast import get_autocast_dtype, is_autocast_enabled
from distrt.core.device import device
from distrt.core.gpu import library
from distrt.core.modes import is_grad_enabled, set_grad_enabled
from distrt.core.random.draws import draw_seed
from distrt.core.random.generator import manual_seed
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.parallel.data_parallel.devices import gpu_numbers, no_accelerator

__all__ = ["get_a_var", "parallel_apply"]


def get_a_var(obj: Any) -> Tensor | None:
    """The first tensor in a structure of lists, tuples and dicts; None without one."""
    if isinstance(obj, Tensor):
        return obj
    values = obj.items() if isinstance(obj, dict) else obj if isinstance(obj, (list, tuple)) else ()
    return next((found for found in map(get_a_var, values) if found is not None), None)


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Sequence[Any] | None = None,
) -> list[Any]:
    """What each model gives for its inputs, on its GPU.

    Raises:
        AssertionError: different numbers of models, inputs, keyword arguments or GPUs.
        ValueError: a CPU among the GPUs.
        RuntimeError: on a machine without GPUs.
    """
    for what, given in (("inputs", inputs), ("kwargs_tup", kwargs_tup), ("devices", devices)):
        if given is not None and len(given) != len(modules):
            raise AssertionError(
                f"The number of modules {len(modules)} is not equal to the number of {what} {len(given)}"
            )
    for each in devices or ():
        if isinstance(each, (str, device)) and device(each).type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {each}")
    if not library.device_count():
        no_accelerator("parallel_apply")
    named = kwargs_tup or [{}] * len(modules)
    numbers = [
        _number(given, each) for given, each in zip(inputs, devices or [None] * len(modules), strict=True)
    ]
    seeds = [draw_seed(None) for _ in modules]
    state = _State.current()
    runs = [partial(_run, state, *each) for each in zip(modules, inputs, named, numbers, seeds, strict=True)]
    with ThreadPoolExecutor(len(runs)) as pool:
        futures = [pool.submit(run) for run in runs]
        wait(futures, return_when=ALL_COMPLETED)
    return [_result(each, number) for each, number in zip(futures, numbers, strict=True)]


def _number(given: Any, chosen: Any) -> int:
    if chosen is not None:
        return gpu_numbers("parallel_apply", [chosen])[0]
    found = get_a_var(given)
    if found is None:
        raise RuntimeError("parallel_apply: no tensor among the inputs says which GPU is meant; name devices")
    return found.get_device()


class _State(NamedTuple):
    """What holds in the caller's thread, and shall in the others."""

    grad: bool
    autocast: bool
    dtype: Any

    @classmethod
    def current(cls) -> _State:
        return cls(is_grad_enabled(), is_autocast_enabled("cuda"), get_autocast_dtype("cuda"))


def _run(state: _State, module: Module, given: Any, named: dict[str, Any], number: int, seed: int) -> Any:
    """In a thread, whose generator is its own: seeded, so that numbers differ from GPU to GPU and call to call."""
    manual_seed(seed)
    arguments = given if isinstance(given, (list, tuple)) else (given,)
    with (
        set_grad_enabled(state.grad),
        autocast("cuda", state.dtype, state.autocast),
        library.find().cuda.Device(number),
    ):
        return module(*arguments, **named)


def _result(future: Future[Any], number: int) -> Any:
    """What the model gave.

    Raises:
        Exception: of the class that it raised, which says the GPU.
    """
    fault = future.exception()
    if fault is None:
        return future.result()
    try:
        said = type(fault)(f"Caught {type(fault).__name__} in replica on device cuda:{number}.\n{fault}")
    except Exception:  # a class that wants other arguments
        raise fault from None
    raise said from fault
