"""``summary`` counts what a model has and does; ``find_nonfinite`` names the first operation that goes wrong."""

import sys

import pytest

import distrt as torch
from distrt import nn
from distrt.debugging import NonFiniteError, check_gradients, find_nonfinite, summary, trace_shapes


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU())
        self.head = nn.Linear(2 * 4 * 4, 5)
        self.unused = nn.Linear(1, 1)
        self.unused.weight.requires_grad_(False)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


def test_a_summary_has_shapes_parameters_and_operations():
    model = Model()
    mean = model.body[1].running_mean.clone()
    found = torch.summary(model, (3, 1, 4, 4))
    rows = {row.path: row for row in found.rows}
    assert rows["body.0"].output == "[3, 2, 4, 4]"
    assert rows["body.0"].parameters == 2 * 9 + 2
    assert rows["body.0"].flops == 2 * (3 * 2 * 4 * 4) * 9
    assert rows["head"].flops == 2 * 3 * 5 * 32
    assert rows["unused"].output == ""
    assert found.parameters == sum(each.numel() for each in model.parameters())
    assert found.trained == found.parameters - 1
    assert found.parameter_bytes == 4 * found.parameters
    assert found.flops == rows["body.0"].flops + rows["head"].flops
    assert model.training
    assert model.body[1].training
    assert torch.equal(model.body[1].running_mean, mean)
    assert not model._forward_hooks


def test_a_table_that_is_cut_adds_up_what_is_below():
    whole, cut = summary(Model(), (1, 1, 4, 4)), summary(Model(), (1, 1, 4, 4), depth=1)
    rows = {row.path: row for row in cut.rows}
    assert rows.keys() == {"", "body", "head", "unused"}
    assert rows["body"].parameters == 20 + 4
    assert (cut.parameters, cut.flops) == (whole.parameters, whole.flops)
    lines = str(cut).splitlines()
    assert lines[0].split() == ["Module", "Output", "Parameters", "FLOPs"]
    assert lines[3].startswith("  body (Sequential)")
    assert "191 parameters (190 trained)" in lines[-1]


def test_arguments_are_sizes_or_tensors():
    class Two(nn.Module):
        def forward(self, index, values):
            return values[index]

    by_size = summary(Two(), [(2,), (4, 3)], dtypes=[torch.int64, torch.float32])
    by_data = summary(Two(), input_data=(torch.zeros(2, dtype=torch.int64), torch.zeros(4, 3)))
    assert by_size.rows[0].output == by_data.rows[0].output == "[2, 3]"
    with pytest.raises(ValueError, match="expected either input_size or input_data"):
        summary(Two())


class Wrong(nn.Module):
    """Goes wrong in one place."""

    def __init__(self, how):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), how)

    def forward(self, x):
        return self.inner(x)


class Log(nn.Module):
    def forward(self, x):
        return torch.log(x * 0)


class Root(nn.Module):
    def forward(self, x):
        return torch.sqrt(x * 0)


def test_the_first_wrong_operation_is_named_in_forward():
    model = Wrong(Log())
    said = r"rank 0: log in inner\.1 \(Log\) \(.*: *\d+\) gave -inf at \[0, 0\], 6 of 6"
    with pytest.raises(NonFiniteError, match=said), find_nonfinite(model):
        model(torch.ones(2, 3))
    assert sys.getprofile() is None


def test_the_first_wrong_operation_is_named_in_backward():
    model = Wrong(Root())
    with pytest.raises(NonFiniteError) as caught, find_nonfinite(model):
        model(torch.ones(2, 3)).sum().backward()
    assert (caught.value.operation, caught.value.module, caught.value.rank) == (
        "SqrtBackward0",
        "inner.1 (Root)",
        0,
    )
    assert caught.value.line.startswith(__file__)


def test_what_was_wrong_before_is_not_blamed_and_sound_models_pass():
    model = nn.Linear(3, 3)
    with find_nonfinite(model):
        model(torch.full((2, 3), torch.nan)).sum()
        model(torch.ones(2, 3)).sum().backward()
    with find_nonfinite(infinities=False):
        torch.zeros(3).masked_fill(torch.tensor([True, False, True]), -torch.inf).softmax(0)
    with pytest.raises(NonFiniteError, match="gave nan"), find_nonfinite(infinities=False):
        torch.zeros(2) / torch.zeros(2)


def test_only_one_can_look():
    with (
        find_nonfinite(),
        pytest.raises(RuntimeError, match="something looks at the calls"),
        find_nonfinite(),
    ):
        pass
    assert sys.getprofile() is None


def test_a_number_without_dims_is_named():
    with pytest.raises(NonFiniteError, match=r"mean .* gave nan at \[\], 1 of 1"), find_nonfinite():
        torch.zeros(0).mean()


def test_who_asks_for_an_infinity_gets_it():
    with find_nonfinite():
        scores = torch.zeros(3, 3).masked_fill(torch.ones(3, 3).triu(1) == 1, -torch.inf).softmax(-1)
        torch.full((2,), torch.inf)
    assert scores.isfinite().all()


@pytest.mark.parametrize(
    ("make", "size", "said"),
    [
        (
            lambda p: torch.optim.SGD(p, lr=1e38),
            1e10,
            r"SGD\.step in inner\.0 .* gave -?inf at \[.*\] of inner\.0\.weight",
        ),
        (
            torch.optim.Adam,
            1e30,
            r"Adam\.step in inner\.0 .* gave inf at \[.*\] of inner\.0\.weight's exp_avg_sq",
        ),
    ],
)
def test_a_step_that_makes_infinities_is_named(make, size, said):
    model = Wrong(nn.ReLU())
    nn.init.constant_(model.inner[0].weight, 0.5)
    optimizer = make(model.parameters())
    with pytest.raises(NonFiniteError, match=said) as caught, find_nonfinite(model):
        (model(torch.ones(2, 3)) * size).sum().backward()
        optimizer.step()
    assert caught.value.line.startswith(__file__)
    optimizer.step()  # nobody looks any more


def test_an_operation_in_a_checkpointed_block_is_named():
    from distrt.utils.checkpoint import checkpoint

    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.Sequential(nn.Linear(3, 3), Root())

        def forward(self, x):
            return checkpoint(self.inside, x, use_reentrant=False)

    model = Wrong(Again())
    with (
        pytest.raises(NonFiniteError, match=r"SqrtBackward0 in inner\.1\.inside\.1 \(Root\)"),
        find_nonfinite(model),
    ):
        model(torch.ones(2, 3)).sum().backward()


def test_an_overflow_under_autocast_is_named():
    model = Wrong(nn.Linear(3, 3))
    for layer in model.inner:
        nn.init.constant_(layer.weight, 3e3)
    with (
        pytest.raises(NonFiniteError, match=r"linear in inner\.1 \(Linear\) .* gave inf"),
        find_nonfinite(model),
        torch.autocast("cpu", dtype=torch.float16),
    ):
        model(torch.ones(2, 3))


def test_gradients_that_are_missing_zero_large_or_not_finite_are_named():
    model = nn.ModuleDict({name: nn.Linear(2, 2, bias=False) for name in ("a", "b", "c", "d", "e", "f")})
    for name, scale in (("b", 0.0), ("c", 1e6), ("d", torch.nan), ("e", 1.0)):
        (model[name](torch.ones(1, 2)).sum() * scale).backward()
    model["f"].weight.requires_grad_(False)
    found = {each.name: each.verdict for each in check_gradients(model)}
    assert found == {
        "a.weight": "missing",
        "b.weight": "zero",
        "c.weight": "exploding",
        "d.weight": "not finite",
        "e.weight": "ok",
    }
    assert [each.verdict for each in check_gradients([("x", model["c"].weight)], largest_norm=1e9)] == ["ok"]
    assert str(check_gradients(model)[4]) == "e.weight: ok, norm 2"


def test_shapes_are_told_module_by_module_also_where_one_fails():
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 2), nn.Linear(3, 1)))
    lines = []
    with pytest.raises(RuntimeError), trace_shapes(model, lines.append):
        model(torch.ones(5, 2, 2))
    assert lines == [
        "0 (Flatten): [5, 2, 2] -> [5, 4]",
        "1.0 (Linear): [5, 4] -> [5, 2]",
        "1.1 (Linear): [5, 2] -> nothing",
        "1 (Sequential): [5, 4] -> nothing",
        "the model (Sequential): [5, 2, 2] -> nothing",
    ]
    assert not model._forward_hooks

    lines.clear()
    attention = nn.MultiheadAttention(4, 2)
    with trace_shapes(attention, lines.append):
        attention(*[torch.ones(3, 1, 4)] * 3, need_weights=False)
    last = "the model (MultiheadAttention): [3, 1, 4], [3, 1, 4], [3, 1, 4], need_weights=False -> ([3, 1, 4], None)"
    assert lines[-1] == last


SCORES = 4 * 3 * 5 * 7 * 8  # of the two attentions


@pytest.mark.parametrize(
    ("layer", "size", "flops"),
    [
        (
            nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True),
            (2, 5, 4),
            2 * 10 * (2 * 24 * 10 + 2 * 24 * 18),
        ),
        (nn.LSTM(4, 6, proj_size=2), (5, 2, 4), 2 * 10 * (24 * 4 + 24 * 2 + 2 * 6)),
        (nn.GRU(4, 6), (5, 4), 2 * 5 * 18 * 10),
        (nn.RNNCell(4, 6), (3, 4), 2 * 3 * 6 * 10),
        (nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], 2 * 2 * 5 * 12),
        (
            nn.MultiheadAttention(8, 2),
            [(5, 3, 8), (7, 3, 8), (7, 3, 8)],
            128 * (15 + 21 + 21) + SCORES + 128 * 15,
        ),
        (
            nn.MultiheadAttention(8, 2, kdim=6, vdim=4),
            [(5, 3, 8), (7, 3, 6), (7, 3, 4)],
            2 * (15 * 64 + 21 * 48 + 21 * 32) + SCORES + 128 * 15,
        ),
    ],
)
def test_operations_of_composed_layers_are_counted(layer, size, flops):
    assert summary(layer, size).flops == flops


def test_attention_is_counted_scores_and_values():
    class Attention(nn.Module):
        def forward(self, query, key, value):
            return nn.functional.scaled_dot_product_attention(query, key, value)

    assert summary(Attention(), [(2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 4)]).flops == 2 * 6 * 5 * 7 * (8 + 4)


def test_arguments_fit_the_model():
    assert summary(nn.Linear(3, 2).double(), 3).rows[0].output == "[2]"
    assert summary(nn.Embedding(5, 2), (4,), dtypes=torch.int64).rows[0].output == "[4, 2]"
    assert summary(nn.Linear(3, 2), input_data={"input": torch.ones(1, 3)}).rows[0].output == "[1, 2]"
    with pytest.raises(TypeError, match="expected a module, got function"):
        summary(lambda x: x, (1, 3))


def test_figures_are_short():
    last = str(summary(nn.Linear(1000, 2000, bias=False), (8, 1000))).splitlines()[-1]
    assert (
        last
        == "2,000,000 parameters (2,000,000 trained), 8 MB; 32 MFLOPs and 64 kB of outputs a forward pass"
    )


def test_what_is_no_module_is_refused():
    for look in (check_gradients, find_nonfinite):
        with pytest.raises(TypeError, match=f"{look.__name__}: expected a module.*, got int"):
            look(3)
