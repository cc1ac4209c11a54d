"""Examples that do not do on distrt what they do on PyTorch: the reason, and whose docstring it is."""

from __future__ import annotations

_SPARSE = "matrices of blocks, and batches and dense dims of compressed matrices, are left out"
_QUANTISED = "quantised tensors are left out"
_RANDOM = "numbers that nobody seeded, or that are drawn otherwise"
_UNSET = "memory that nobody has set"
_ROUNDING = "the size of a rounding error, or what hangs on it"
_ADDRESS = "an object whose text is another"
_ABSENT = "not there"

_NAMES = {
    _SPARSE: """
        Tensor.to_sparse Tensor.to_sparse_bsc Tensor.to_sparse_bsr Tensor.to_sparse_csc Tensor.to_sparse_csr
        sparse_bsc_tensor sparse_bsr_tensor
    """,
    _QUANTISED: """
        fake_quantize_per_channel_affine fake_quantize_per_tensor_affine quantize_per_channel
        quantize_per_tensor quantize_per_tensor_dynamic quantized_batch_norm quantized_max_pool1d
        quantized_max_pool2d
    """,
    _RANDOM: "Generator.seed poisson",
    _UNSET: "Tensor.new_empty Tensor.new_empty_strided empty_strided nn.RMSNorm nn.utils.skip_init",
    _ROUNDING: "Tensor.view cholesky_inverse cholesky_solve nn.Unfold",
    _ADDRESS: """
        Generator.manual_seed Generator.set_state vmap nn.CrossEntropyLoss nn.LinearCrossEntropyLoss
        autograd.profiler.record_function
    """,
    _ABSENT: """
        Event Tensor.grad_dtype accelerator.Graph accelerator.Graph.debug_dump accelerator.synchronize
        autograd.enforce_grad_layout_policy autograd.graph.allow_mutation_on_saved_tensors
        cpu.get_capabilities distributed.optim.DistributedOptimizer from_file func.functionalize
        func.rearrange hash_tensor linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve
        overrides.get_ignored_functions overrides.get_testing_overrides overrides.redispatch_function
        vision.ops.FeaturePyramidNetwork vision.ops.MultiScaleRoIAlign
    """,
    "conjugates and negatives are computed at once: no view of the original": "conj resolve_conj resolve_neg",
    "there is no complex32": "set_default_dtype",
    "the processor's switch is not reached from Python": "set_flush_denormal",
    "sort is always stable": "sort",
    "a hook is shown plain tensors": "autograd.graph.saved_tensors_hooks",
    "a typed storage is taken from a tensor": "is_storage",
}

#: Name of what has the docstring -> reason.
KNOWN = {
    f"torch{'' if name.startswith('vision') else '.'}{name}": reason
    for reason, names in _NAMES.items()
    for name in names.split()
}

#: Those that may agree by chance: memory that nobody has set can hold what PyTorch's does.
MAY_AGREE = {name for name, reason in KNOWN.items() if reason is _UNSET}
