"""What users do with tensors and modules on GPUs: devices, printing, copies, files, errors."""

from __future__ import annotations

import copy
import io
import math
import pickle
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import distrt as torch
from distrt import nn
from tests.gpu.checking import assert_refused, run_all

CUDA = torch.device("cuda:0")


def _reloaded(value: Any, **options: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


def check_questions() -> None:
    """What there is, and which one is meant."""
    assert torch.cuda.is_available() and torch.cuda.device_count() >= 1
    assert torch.cuda.current_device() == 0 and torch.cuda.get_device_name()
    assert torch.cuda.get_device_properties(0).total_memory > 0
    assert torch.cuda.mem_get_info()[1] > 0
    assert_refused(RuntimeError, "invalid device ordinal", lambda: torch.zeros(1, device="cuda:99"))


def check_where_tensors_are_made() -> None:
    """By ``device=``, beside another one, by default."""
    x = torch.arange(6.0, device=CUDA).reshape(2, 3)
    made = [
        torch.zeros(2, device="cuda"),
        torch.randn(2, device="cuda"),
        torch.randint(0, 5, (3,), device=CUDA),
        torch.randperm(4, device=CUDA),
        torch.eye(2, device=CUDA),
        torch.linspace(0, 1, 3, device=CUDA),
        torch.full((2,), 3.0, device=CUDA),
        torch.tensor([1, 2], device=CUDA),
        torch.as_tensor([1.0], device=CUDA),
        torch.zeros_like(x),
        torch.rand_like(x),
        x.new_ones(2),
        x.new_tensor([1]),
    ]
    assert {each.device for each in made} == {CUDA}
    with CUDA:
        assert torch.zeros(2).device == CUDA and nn.Linear(2, 2).weight.device == CUDA
    assert torch.zeros(2).device.type == "cpu"


def check_text() -> None:
    """As PyTorch writes it."""
    assert str(torch.tensor([1, 2]).cuda()) == "tensor([1, 2], device='cuda:0')"
    assert torch.ones(2).cuda().is_cuda and torch.ones(2).cuda().get_device() == 0


def check_devices_do_not_mix() -> None:
    """One error, PyTorch's words; numbers go with any."""
    x = torch.ones(3, device=CUDA)
    assert_refused(RuntimeError, "Expected all tensors to be on the same device", lambda: x + torch.ones(3))
    assert_refused(TypeError, "Use Tensor.cpu() to copy the tensor to host memory first", x.numpy)
    for indices, starts in ((CUDA, "cpu"), ("cpu", CUDA)):  # of an embedding_bag
        bags = (
            torch.arange(3, device=indices),
            torch.ones(3, 2, device=CUDA),
            torch.tensor([0], device=starts),
        )
        assert_refused(RuntimeError, "on the same device", lambda b=bags: nn.functional.embedding_bag(*b))
    assert (x * torch.tensor(2.0)).tolist() == [2.0, 2.0, 2.0]
    assert x[torch.tensor([0, 1])].device == CUDA  # indices may come from the CPU
    if torch.cuda.device_count() > 1:
        other = torch.ones(3, device="cuda:1")
        assert (other * 2).sum().device == other.device
        assert_refused(RuntimeError, "cuda:0 and cuda:1", lambda: x + other)


def check_derivatives_can_be_checked() -> None:
    """Once and twice, real and complex, on the GPU that is not the current one if there are two."""
    place = f"cuda:{torch.cuda.device_count() - 1}"
    x = torch.randn(3, 2, dtype=torch.float64, device=place).t().detach().requires_grad_()
    z = torch.randn(2, dtype=torch.complex128, device=place, requires_grad=True)
    assert torch.autograd.gradcheck(torch.tanh, (x,)) and torch.autograd.gradcheck(torch.square, (z,))
    assert torch.autograd.gradgradcheck(torch.tanh, (x,))
    assert_refused(
        RuntimeError, "Jacobian mismatch", lambda: torch.autograd.gradcheck(lambda a: a * a.detach(), (x,))
    )


def check_an_operation_of_ones_own_runs_on_the_gpu_where_one_tensor_is_there() -> None:
    """A number that comes as a tensor may lie on the CPU, and come first."""
    library = torch.library.Library("gpu_checks", "FRAGMENT")
    library.define("scaled(Tensor factor, Tensor x) -> Tensor")
    library.impl("scaled", lambda factor, x: x * 0, "CPU")
    library.impl("scaled", lambda factor, x: x * factor, "CUDA")
    made = torch.ops.gpu_checks.scaled(torch.tensor(2.0), torch.ones(2, device="cuda"))
    assert made.is_cuda and made.tolist() == [2.0, 2.0]


def check_what_is_not_recorded_runs_where_its_tensor_is() -> None:
    """Changes in place, copies, what is made like another tensor, and the gradient that a pass starts with."""
    if torch.cuda.device_count() < 2:
        return
    there = torch.device("cuda:1")
    x, y = torch.ones(3, device=there), torch.arange(3.0, device=there)
    assert torch.cuda.current_device() == 0
    assert x.copy_(y).add_(y).mul_(2).tolist() == [0.0, 4.0, 8.0]
    assert x.copy_(torch.ones(1, device=there)).tolist() == [1.0, 1.0, 1.0]
    assert x.fill_(torch.tensor(3.0, device=there)).masked_fill_(y > 0, 4.0).tolist() == [3.0, 4.0, 4.0]
    x[0], x[1:] = y[1], y[1:]
    x[torch.tensor([0, 2], device=there)] += y[:2]
    assert x.tolist() == [1.0, 1.0, 3.0]
    assert torch.add(x, y, out=torch.empty_like(x)).tolist() == [1.0, 2.0, 5.0]
    assert {each.device for each in (torch.ones_like(x), torch.rand_like(x), x.resize_(5), x)} == {there}
    w = torch.ones(3, device=there, requires_grad=True)
    made = w * 1
    made[:2].mul_(y[1:])
    (made.mul_(w) * y).sum().backward()
    assert w.grad.tolist() == [0.0, 4.0, 4.0] and w.grad.device == there
    norm = nn.BatchNorm1d(3).to(there)
    norm(torch.rand(4, 3, device=there)).sum().backward()
    norm.load_state_dict(nn.BatchNorm1d(3).state_dict())
    assert torch.cuda.current_device() == 0


def check_a_backend_of_the_cpu_alone_carries_nothing_of_gpus() -> None:
    """Collectives and DDP say so, instead of reading where the CPU cannot."""
    torch.distributed.init_process_group("shm", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        x = torch.ones(3, device=CUDA)
        for call in (torch.distributed.all_reduce, lambda tensor: torch.distributed.broadcast(tensor, 0)):
            assert_refused(
                RuntimeError, "No backend type associated with device type cuda", lambda call=call: call(x)
            )
        model = nn.Linear(2, 2).cuda()
        wrap = nn.parallel.DistributedDataParallel
        assert_refused(RuntimeError, "No backend type associated with device type cuda", lambda: wrap(model))
    finally:
        torch.distributed.destroy_process_group()


def check_devices_that_are_asked_for() -> None:
    """What takes ``device=`` goes there."""
    assert (
        torch.fft.fftfreq(4, device=CUDA).device == CUDA and torch.hann_window(4, device=CUDA).device == CUDA
    )
    assert nn.Linear(2, 2).to_empty(device="cuda").weight.device == CUDA
    assert torch.Tensor([1.0]).new([2.0], device="cuda").device == CUDA


def check_copies() -> None:
    """Between devices, by name; gradients go back where the leaf is."""
    x = torch.arange(6.0).reshape(2, 3)
    y = x.t().cuda()
    assert y.stride() == x.t().stride() and y.cpu().tolist() == x.t().tolist()
    assert torch.zeros(2, 3).copy_(x.cuda()).tolist() == x.tolist()
    assert x.cuda().copy_(torch.ones(2, 3)).cpu().sum() == 6
    assert x.to(CUDA, torch.float16).dtype is torch.float16 and y.cuda() is y
    leaf = torch.ones(2, requires_grad=True)
    (leaf.cuda() * 3).sum().backward()
    assert leaf.grad is not None and leaf.grad.device.type == "cpu" and leaf.grad.tolist() == [3.0, 3.0]
    assert x.pin_memory().is_pinned() and not x.is_pinned()
    assert copy.deepcopy(y).device == CUDA and pickle.loads(pickle.dumps(y)).tolist() == y.tolist()


def check_files() -> None:
    """Tensors come back where they were, or where ``map_location`` says."""
    model = nn.Linear(3, 2).cuda()
    assert _reloaded(model.state_dict())["weight"].device == CUDA
    assert _reloaded(model.state_dict(), map_location="cpu")["weight"].device.type == "cpu"
    model.load_state_dict({name: value.cpu() for name, value in model.state_dict().items()})
    assert model.weight.device == CUDA and model.cpu().weight.device.type == "cpu"


def check_indexing() -> None:
    """Masks, lists, assignment."""
    x = torch.arange(6.0, device=CUDA).reshape(2, 3)
    assert x[x > 2].tolist() == [3.0, 4.0, 5.0] and x[[1, 0]].tolist() == [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]
    x[0, 0] = 9.0
    x[1] = torch.tensor(7.0)
    assert x.tolist() == [[9.0, 1.0, 2.0], [7.0, 7.0, 7.0]]


def check_what_libraries_are_there() -> None:
    """Versions, handles and errors."""
    assert float(torch.version.cuda) >= 12 and torch.backends.cuda.is_built()
    assert torch.cuda.current_blas_handle() and torch.cuda.current_solver_handle()
    torch.cuda.check_error(torch.cuda.cudaStatus.SUCCESS)
    assert_refused(torch.cuda.CudaError, "out of memory (2)", lambda: torch.cuda.check_error(2))
    handle = torch.cuda.Stream().cuda_stream
    assert torch.cuda.get_stream_from_external(handle).cuda_stream == handle


def check_the_management_library_is_asked_for_the_right_gpu() -> None:
    """A stand-in of it has one GPU, where the first one sits."""
    place = torch.cuda.cudart().deviceGetPCIBusId(0)
    processes = [SimpleNamespace(pid=7, usedGpuMemory=3 << 20), SimpleNamespace(pid=8, usedGpuMemory=None)]
    library = SimpleNamespace(
        NVMLError=OSError,
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByPciBusId={place: "handle"}.__getitem__,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=60, memory=20),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=99),
        nvmlDeviceGetTemperature=lambda handle, sensor: 40 + sensor,
        nvmlDeviceGetPowerUsage=lambda handle: 70_000,
        nvmlDeviceGetClockInfo=lambda handle, clock: 1700 + clock,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: processes,
    )
    before = sys.modules.get("pynvml")
    sys.modules["pynvml"] = library  # type: ignore[assignment]
    try:
        cuda = torch.cuda
        assert (cuda.utilization(), cuda.memory_usage(0), cuda.device_memory_used("cuda:0")) == (60, 20, 99)
        assert (cuda.temperature(), cuda.power_draw(CUDA), cuda.clock_rate()) == (40, 70_000, 1701)
        assert cuda.list_gpu_processes().splitlines() == [
            "GPU:0",
            "process          7 uses        3.000 MB GPU memory",
            "process          8 uses        0.000 MB GPU memory",
        ]
    finally:
        del sys.modules["pynvml"]
        if before is not None:
            sys.modules["pynvml"] = before


def check_numbers_go_into_tensors_in_place() -> None:
    """In their memory and dtype; what would change the kind, or belongs to a graph, goes the usual way."""
    for dtype in (torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.int32):
        x, y = torch.arange(6, device=CUDA).to(dtype), torch.arange(6).to(dtype)
        place, view = x.data_ptr(), x.view(2, 3)
        for each in (x, y):
            each.add_(3).mul_(2).sub_(1)
            if dtype.is_floating_point:
                each.mul_(0.3).add_(2.5)
        assert x.data_ptr() == place and x.tolist() == y.tolist() == view.reshape(-1).tolist()
        assert x._version == y._version
    assert_refused(
        RuntimeError, "can't be cast", lambda: torch.ones(2, dtype=torch.int64, device=CUDA).add_(0.5)
    )
    leaf = torch.ones(3, device=CUDA, requires_grad=True)
    assert_refused(RuntimeError, "leaf Variable", lambda: leaf.add_(1))
    assert_refused(RuntimeError, "leaf Variable", lambda: leaf[1:].add_(1))
    squared = leaf * leaf
    squared.mul_(2).sum().backward()
    assert leaf.grad.tolist() == [4.0] * 3
    with torch.no_grad():
        leaf.mul_(0.5)
    assert leaf.tolist() == [0.5] * 3 and leaf.is_leaf and leaf.requires_grad
    kept = (leaf.exp() * 2).detach()
    out = leaf.exp()
    out.detach().add_(1)
    assert_refused(RuntimeError, "modified by an inplace operation", out.sum().backward)
    assert kept.shape == out.shape


def check_elements_stay_where_they_lie() -> None:
    """Images whose channels come last keep that order through sums, relu and their gradients."""
    x, y = (torch.randn(2, 3, 4, 5, device=CUDA).to(memory_format=torch.channels_last) for _ in range(2))
    a, b = (each.clone().requires_grad_() for each in (x, y))
    made = (a + b * 2 - 1).relu()
    made.backward(torch.ones_like(made))
    assert made.stride() == a.grad.stride() == b.grad.stride() == x.stride()
    c, d = (each.cpu().requires_grad_() for each in (x, y))
    other = (c + d * 2 - 1).relu()
    other.sum().backward()
    assert torch.equal(made.cpu(), other) and torch.equal(a.grad.cpu(), c.grad)
    assert torch.equal(b.grad.cpu(), d.grad)


def check_gradients_are_taken_as_they_come() -> None:
    """What backward made for a leaf alone is its gradient; in another order of dims, or shown to others, a copy is."""
    x, w = torch.ones(1 << 20, device=CUDA), torch.ones(1 << 20, device=CUDA, requires_grad=True)
    loss = (x * w).sum()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loss.backward()
    assert 4 << 20 <= torch.cuda.max_memory_allocated() - before < 6 << 20
    a, b = (torch.ones(2, 3, device=CUDA, requires_grad=True) for _ in range(2))
    (a + b).backward(torch.ones(2, 3, device=CUDA))
    a.grad.add_(1)
    assert b.grad.tolist() == torch.ones(2, 3).tolist()
    (2 * a.t().contiguous()).sum().backward()
    assert a.grad.stride() == a.stride() and a.grad.tolist() == torch.full((2, 3), 4.0).tolist()

    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.as_strided(g.shape, g.stride())

    a.grad = b.grad = None
    (Same.apply(a) + Same.apply(b)).backward(seed := torch.ones(2, 3, device=CUDA))
    a.grad.add_(1)
    assert b.grad.tolist() == seed.tolist() == torch.ones(2, 3).tolist()


def check_numbers_on_the_cpu_get_their_gradients_there() -> None:
    """They go with tensors on a GPU, and so do the gradients of what they are made of."""
    x, s = torch.arange(3.0, device=CUDA), torch.tensor(2.0, requires_grad=True)
    for _ in range(2):
        (x * s * s.exp()).sum().backward()
    expected = 2 * 3 * 3 * math.exp(2)
    assert s.grad.device.type == "cpu" and abs(s.grad.item() - expected) < 1e-4 * expected
    (found,) = torch.autograd.grad((x * s).sum(), s, create_graph=True)
    assert found.device.type == "cpu" and found.item() == 3


def check_layers() -> None:
    """Dropout, packed sequences, attention, CTC: what draws or walks on the host gives results on the GPU."""
    x = torch.randn(4, 6, 8, device=CUDA, requires_grad=True)
    layers = [nn.Dropout(0.5), nn.AlphaDropout(0.2), nn.GRU(8, 8).cuda(), nn.MultiheadAttention(8, 2).cuda()]
    for layer in layers:
        out = layer(x, x, x)[0] if isinstance(layer, nn.MultiheadAttention) else layer(x)
        out = out[0] if isinstance(out, tuple) else out
        assert out.device == CUDA
        out.sum().backward()
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 3, 2, 2, 1, 1]))
    assert packed.data.device == CUDA and packed.batch_sizes.device.type == "cpu"
    assert nn.utils.rnn.pad_packed_sequence(packed)[0].device == CUDA
    loss = nn.CTCLoss()(x.log_softmax(2), torch.ones(6, 2, dtype=torch.long), [4] * 6, [2] * 6)
    assert loss.device == CUDA


def check_comparisons() -> None:
    """``assert_close`` says what differs; a traced module is compared with its own."""
    x = torch.tensor([1.0, 2.0], device=CUDA)
    torch.testing.assert_close(x, x.clone())
    torch.testing.assert_close(x.bfloat16(), x.cpu().bfloat16(), check_device=False)
    assert_refused(
        AssertionError, "Mismatched elements: 1 / 2", lambda: torch.testing.assert_close(x, x.clamp(max=1))
    )
    assert_refused(AssertionError, "'device' do not match", lambda: torch.testing.assert_close(x, x.cpu()))
    layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).cuda()
    assert torch.equal(torch.jit.trace(layers, x)(x), layers(x))


def check_two_libraries_in_one_rule() -> None:
    """What is changed in place may be kept beside a number, and truths may be of complex numbers."""
    x = torch.ones(3, device=CUDA, requires_grad=True)
    nn.functional.alpha_dropout(x.clone(), 1.0, True, inplace=True).sum().backward()
    z = torch.tensor([0j, 1j], device=CUDA)
    assert x.grad is not None and not x.grad.any()
    assert z.logical_not().tolist() == [True, False] and z.logical_or(z).tolist() == [False, True]


def check_distributions() -> None:
    """What is drawn, and its density, are where the parameters are; numbers beside tensors go there."""
    D, v, size = torch.distributions, torch.tensor([0.3, 0.6], device=CUDA), torch.tensor(1.0, device=CUDA)
    square = torch.tensor([[2.0, 0.3], [0.3, 1.0]], device=CUDA)
    families = [
        D.Normal(0.0, v), D.Bernoulli(v), D.Categorical(v), D.OneHotCategorical(v), D.Multinomial(4, v),
        D.MultivariateNormal(v, precision_matrix=square), D.LowRankMultivariateNormal(v, v[:, None], v),
        D.Wishart(3.0, square), D.Cauchy(0.0, v), D.Binomial(3, v), D.Gamma(v, 1.0), D.InverseGamma(v, v),
        D.Beta(v, v), D.Dirichlet(v), D.LKJCholesky(3, size), D.Uniform(0.0, v), D.Poisson(v), D.StudentT(v),
        D.VonMises(0.0, v), D.MixtureSameFamily(D.Categorical(v), D.Normal(v, v)), D.Weibull(v, v),
        D.NegativeBinomial(3.0, v), D.Geometric(v), D.RelaxedOneHotCategorical(size, v), D.HalfNormal(v),
        D.FisherSnedecor(v, v), D.Kumaraswamy(v, v), D.ContinuousBernoulli(v), D.GeneralizedPareto(v, v, v),
    ]  # fmt: skip
    for family in families:
        drawn = family.sample()
        assert drawn.device == family.log_prob(drawn).device == CUDA, family
    assert torch.normal(v, 0.1).device == torch.normal(0.0, 1.0, (3,), device=CUDA).device == CUDA


def check_old_types_say_where() -> None:
    """``type(torch.cuda.FloatTensor)``, and such a type as the default."""
    x = torch.ones(2)
    assert x.type(torch.cuda.FloatTensor).device == x.type("torch.cuda.LongTensor").device == CUDA
    assert x.cuda().type(torch.FloatTensor).device == x.cuda().type("torch.HalfTensor").device == x.device
    assert x.cuda().type(torch.float64).type() == "torch.cuda.DoubleTensor"
    torch.set_default_tensor_type("torch.cuda.FloatTensor")
    try:
        assert torch.zeros(1).is_cuda and torch.Tensor([1.0]).dtype is torch.float32
    finally:
        torch.set_default_tensor_type(torch.FloatTensor)
    assert not torch.zeros(1).is_cuda


def check_the_accelerator_is_the_gpu() -> None:
    """Scripts that ask ``torch.accelerator`` get what those get that ask ``torch.cuda``."""
    assert torch.accelerator.is_available() and torch.accelerator.current_accelerator() == torch.device(
        "cuda"
    )
    assert torch.accelerator.device_count() == torch.cuda.device_count()
    torch.accelerator.set_device_index(0)
    torch.accelerator.synchronize()
    with torch.accelerator.device_index(0):
        assert torch.accelerator.current_device_index() == 0
    assert torch.accelerator.memory_allocated() == torch.cuda.memory_allocated()


def check_the_profiler_measures_the_gpu_or_says_why_not() -> None:
    """There is a GPU, so it does not say that there is none; CUPTI may be missing."""
    both = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with torch.profiler.profile(activities=both) as prof:
            torch.ones(1, device=CUDA).exp()
    exp = next(each for each in prof.key_averages() if each.key == "aten::exp")
    if said:
        assert "CUDA profiling is off, and what the CPU does is measured all the same" in str(said[0].message)
    else:
        assert exp.device_time_total > 0
    assert exp.cpu_time_total > 0


CHECKS = [value for name, value in globals().items() if name.startswith("check_")]


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS) else 0)
