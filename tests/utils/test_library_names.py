"""Names that libraries of models, metrics and trainers take from PyTorch: what they need to be imported and to run."""

import pytest

import distrt as torch
from distrt import fx, hub, nn
from distrt.core.errors import UnsupportedError
from distrt.utils import checkpoint


def test_a_function_that_is_marked_for_tracers_stays_the_function():
    @torch.fx.wrap
    def double(x):
        return 2 * x

    assert double(2) == 4 and fx.wrap("len") == "len"
    with pytest.raises(RuntimeError, match="callable or string"):
        fx.wrap(3)


def test_no_module_is_a_graph_module_and_tracing_says_what_to_do():
    assert not isinstance(nn.Linear(1, 1), fx.GraphModule)
    assert not isinstance(nn.Linear(1, 1), torch._dynamo.eval_frame.OptimizedModule)
    for trace in (fx.symbolic_trace, fx.GraphModule, fx.Tracer):
        with pytest.raises(UnsupportedError, match="run the function itself"):
            trace(nn.Linear(1, 1))


def test_notes_and_switches_of_the_extension_module_are_accepted():
    assert torch._C._log_api_usage_once("library.metric") is None
    assert torch._C._get_tracing_state() is None
    assert torch._C._jit_set_profiling_executor(True) is False


def test_the_checksum_in_a_files_name_is_found():
    assert hub.HASH_REGEX.search("resnet18-f37072fd.pth").group(1) == "f37072fd"
    assert hub.urlparse("https://host/a/b.pth").path == "/a/b.pth"


def test_generators_of_gpus_are_kept_where_there_are_any():
    numbers, states = checkpoint.get_device_states(torch.ones(2), [torch.ones(1)], "text")
    assert numbers == states == []
    checkpoint.set_device_states(numbers, states)
