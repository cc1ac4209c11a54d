"""Training by sparse gradients beside PyTorch: embeddings, optimizers, the scaler."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import distrt
from tests.oracles import require_torch

torch = require_torch()
torch.sparse.check_sparse_tensor_invariants.disable()

WEIGHT = [[0.5 * row - column for column in range(3)] for row in range(6)]
BATCHES = [[[1, 3], [3, 0]], [[5, 5], [1, 2]], [[0, 0], [0, 0]], [[2, 3], [4, 1]]]


def layer(library: Any, kind: str, **options: Any) -> Any:
    return getattr(library.nn, kind).from_pretrained(
        library.tensor(WEIGHT), freeze=False, sparse=True, **options
    )


def loss_of(library: Any, made: Any) -> Any:
    return (made * library.arange(1.0, made.numel() + 1).view(made.shape)).sum() / 10


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Embedding", {}),
        ("Embedding", {"padding_idx": 3}),
        ("Embedding", {"max_norm": 1.0}),
        ("EmbeddingBag", {"mode": "sum"}),
        ("EmbeddingBag", {"mode": "mean"}),
        ("EmbeddingBag", {"mode": "mean", "padding_idx": 3}),
    ],
)
def test_a_layer_has_pytorchs_sparse_gradient(kind: str, options: dict[str, Any]) -> None:
    found = []
    for library in (distrt, torch):
        made = layer(library, kind, **options)
        loss_of(library, made(library.tensor(BATCHES[0]))).backward()
        found.append(repr(made.weight.grad))
    assert found[0] == found[1]


def test_weights_of_samples_get_their_gradients_beside_a_sparse_one() -> None:
    found = []
    for library in (distrt, torch):
        made = layer(library, "EmbeddingBag", mode="sum")
        factors = library.tensor([[0.5, 2.0], [1.0, -1.0]]).requires_grad_()
        loss_of(library, made(library.tensor(BATCHES[0]), per_sample_weights=factors)).backward()
        found.append((repr(made.weight.grad), repr(factors.grad)))
    assert found[0] == found[1]


def test_a_gradient_by_frequency_is_refused_as_by_pytorch() -> None:
    for library in (distrt, torch):
        for kind in ("Embedding", "EmbeddingBag"):
            made = layer(library, kind, scale_grad_by_freq=True)
            with pytest.raises(RuntimeError, match="scale_grad_by_freq not supported with sparse gradients"):
                made(library.tensor(BATCHES[0])).sum().backward()


TRAINED: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "foreach": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.5, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-3}),
    ("Adagrad", {"maximize": True}),
    ("SparseAdam", {}),
    ("SparseAdam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-4}),
    ("SparseAdam", {"maximize": True}),
    ("LBFGS", {"max_iter": 3}),
]


@pytest.mark.parametrize(("name", "options"), TRAINED)
def test_an_optimizer_takes_pytorchs_steps(name: str, options: dict[str, Any]) -> None:
    found = []
    for library in (distrt, torch):
        made = layer(library, "Embedding")
        optimizer = getattr(library.optim, name)(made.parameters(), **options)
        for batch in BATCHES * 2:

            def closure(
                library: Any = library, made: Any = made, batch: Any = batch, o: Any = optimizer
            ) -> Any:
                o.zero_grad()
                loss = (made(library.tensor(batch)) ** 2).sum()
                loss.backward()
                return loss

            optimizer.step(closure)
        state = optimizer.state_dict()["state"].get(0, {})
        kept = {key: state[key] for key in sorted(state) if key in ("step", "sum", "exp_avg", "exp_avg_sq")}
        found.append((made.weight.detach().numpy(), kept))
    assert abs(found[0][0] - found[1][0]).max() < 2e-6
    assert list(found[0][1]) == list(found[1][1])
    for key, value in found[0][1].items():
        assert (
            float(
                abs(distrt.as_tensor(value) - distrt.tensor(torch.as_tensor(found[1][1][key]).tolist())).max()
            )
            < 1e-4
        )


REFUSING: list[tuple[str, dict[str, Any]]] = [
    *[
        (name, {})
        for name in "Adam AdamW Adamax NAdam RAdam RMSprop Rprop ASGD Adadelta Adafactor Muon".split()
    ],
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "fused": True}),
    ("Adagrad", {"weight_decay": 0.1}),
    ("Adagrad", {"fused": True}),
]


@pytest.mark.parametrize(("name", "options"), REFUSING)
def test_what_takes_no_sparse_gradient_says_so_as_pytorch(name: str, options: dict[str, Any]) -> None:
    said = []
    for library in (distrt, torch):
        made = layer(library, "Embedding")
        optimizer = getattr(library.optim, name)(made.parameters(), **options)
        made(library.tensor(BATCHES[0])).sum().backward()
        with pytest.raises(RuntimeError) as raised:
            optimizer.step()
        said.append(str(raised.value))
        assert made.weight.tolist() == WEIGHT
    assert said[0] == said[1]


def test_dense_parameters_beside_sparse_ones_are_updated_as_ever() -> None:
    found = []
    for library in (distrt, torch):
        table, head = layer(library, "EmbeddingBag"), library.nn.Linear(3, 1, bias=False)
        with library.no_grad():
            head.weight.fill_(0.5)
        optimizer = library.optim.SGD([*table.parameters(), *head.parameters()], lr=0.1)
        for batch in BATCHES:
            optimizer.zero_grad()
            (head(table(library.tensor(batch))) ** 2).sum().backward()
            optimizer.step()
        found.append((table.weight.tolist(), head.weight.tolist()))
    assert distrt.allclose(distrt.tensor(found[0][0]), distrt.tensor(found[1][0]), atol=1e-6)
    assert distrt.allclose(distrt.tensor(found[0][1]), distrt.tensor(found[1][1]), atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_sparse_parameter_is_trained_by_sgd(momentum: float) -> None:
    found = []
    for library in (distrt, torch):
        graph = library.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [1.0, 2.0, 3.0], (2, 3))
        weight = library.nn.Parameter(graph)
        optimizer = library.optim.SGD([weight], lr=0.1, momentum=momentum)
        for _ in range(3):
            optimizer.zero_grad()
            (library.sparse.mm(weight, library.ones(3, 2)) ** 2).sum().backward()
            optimizer.step()
        found.append((weight.is_sparse, weight.to_dense().tolist()))
    assert found[0][0] and found[1][0]
    assert distrt.allclose(distrt.tensor(found[0][1]), distrt.tensor(found[1][1]))


def test_sparse_adam_refuses_dense_gradients_and_sparse_parameters() -> None:
    for library in (distrt, torch):
        weight = library.ones(2, 2).requires_grad_()
        optimizer = library.optim.SparseAdam([weight])
        weight.sum().backward()
        with pytest.raises(RuntimeError, match="does not support dense gradients, please consider Adam"):
            optimizer.step()
        with pytest.raises(ValueError, match=r"Sparse params at indices \[\[0, 0\]\]"):
            library.optim.SparseAdam([library.eye(2).to_sparse().requires_grad_()])


@pytest.mark.parametrize("is_finite", [True, False])
def test_the_scaler_unscales_the_values(is_finite: bool) -> None:
    found = []
    for library in (distrt, torch):
        made = layer(library, "Embedding")
        optimizer = library.optim.SGD(made.parameters(), lr=0.1)
        scaler = library.amp.GradScaler("cpu", init_scale=8.0)
        factor = 1.0 if is_finite else float("inf")
        scaler.scale(made(library.tensor([1, 1])).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        found.append((made.weight.tolist(), scaler.get_scale(), repr(made.weight.grad)))
    assert found[0] == found[1]


def test_zeroed_gradients_are_sparse_and_empty() -> None:
    for library in (distrt, torch):
        made = layer(library, "Embedding")
        made(library.tensor([1])).sum().backward()
        made.zero_grad(set_to_none=False)
        assert made.weight.grad.is_sparse
        assert made.weight.grad._nnz() == 0
        made(library.tensor([2])).sum().backward()
        assert made.weight.grad.to_dense().sum().item() == 3.0


def test_norms_of_sparse_gradients_are_refused_as_by_pytorch() -> None:
    for library in (distrt, torch):
        made = layer(library, "Embedding")
        made(library.tensor([1])).sum().backward()
        with pytest.raises(NotImplementedError, match="Could not run 'aten::"):
            library.nn.utils.clip_grad_norm_(made.parameters(), 1.0)


def test_the_momentum_of_sparse_gradients_is_saved_and_goes_on() -> None:
    made = layer(distrt, "Embedding")
    optimizer = distrt.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)

    def step(made: Any, optimizer: Any, batch: Any) -> None:
        optimizer.zero_grad()
        made(distrt.tensor(batch)).sum().backward()
        optimizer.step()

    step(made, optimizer, BATCHES[0])
    other = copy.deepcopy(made)
    again = distrt.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    again.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    for batch in BATCHES:
        step(made, optimizer, batch)
        step(other, again, batch)
    assert other.weight.tolist() == made.weight.tolist()


def test_a_graph_convolution_is_trained_as_by_pytorch() -> None:
    """The shape of public scripts for graphs: a normalised adjacency matrix times features times weights."""
    found = []
    for library in (distrt, torch):
        t = library
        edges = t.tensor([[0, 1, 2, 3, 4, 0, 2], [1, 2, 3, 4, 0, 2, 4]])
        both = t.cat([edges, edges.flip(0), t.arange(5).repeat(2, 1)], 1)
        graph = t.sparse_coo_tensor(both, t.ones(both.shape[1]), (5, 5)).coalesce()
        degrees = t.sparse.sum(graph, 1).to_dense()
        row, column = graph.indices()
        scale = (degrees[row] * degrees[column]) ** -0.5
        graph = t.sparse_coo_tensor(graph.indices(), graph.values() * scale, graph.size())
        weights = [
            (t.arange(12.0).view(4, 3) / 9).requires_grad_(),
            (t.arange(6.0).view(3, 2) / 7).requires_grad_(),
        ]
        features, target = t.arange(20.0).view(5, 4) / 10, t.tensor([0, 1, 0, 1, 1])
        optimizer = t.optim.Adam(weights, lr=0.05)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            hidden = t.relu(t.spmm(graph, t.mm(features, weights[0])))
            out = t.nn.functional.log_softmax(graph @ (hidden @ weights[1]), 1)
            loss = t.nn.functional.nll_loss(out, target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append(losses)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
