"""Scripted modules as modules: attributes, modes, copies, training, what decorators say."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any, Optional

import pytest

import distrt
from distrt import jit, nn


class Small(nn.Module):
    """A model with methods, a property, constants and children."""

    __constants__ = ("width",)

    def __init__(self, width: int = 3):
        super().__init__()
        self.width = width
        self.fc = nn.Linear(2, width)
        self.inner = Inner()
        self.drop = nn.Dropout(0.5)

    @property
    def twice(self) -> int:
        return self.width * 2

    def forward(self, x):
        if jit.is_scripting():
            x = x + 0
        return self.drop(self.inner(self.fc(x)) * self.twice)

    @jit.export
    def name_of(self, n: int) -> str:
        return f"{n}:{self.width}"


class Inner(nn.Module):
    """A child of the user's own class."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(distrt.ones(1))

    def forward(self, x, shift: float = 0.0):
        return x * self.scale + shift


def test_it_is_a_module_with_the_models_own_parameters() -> None:
    model = Small()
    scripted = jit.script(model)
    assert isinstance(scripted, jit.ScriptModule) and isinstance(scripted.inner, jit.RecursiveScriptModule)
    assert scripted.fc.weight is model.fc.weight and scripted.inner.scale is model.inner.scale
    assert list(scripted.state_dict()) == list(model.state_dict())
    assert [name for name, _ in scripted.named_modules()] == [name for name, _ in model.named_modules()]
    assert scripted.name_of(4) == "4:3" and scripted.width == 3
    assert repr(scripted).startswith("RecursiveScriptModule(\n  original_name=Small\n  (fc): Linear(")
    assert "self.inner(self.fc(x))" in scripted.code and "is_scripting" not in scripted.code


def test_modes_reach_every_layer() -> None:
    model = Small()
    scripted = jit.script(model).eval()
    assert not scripted.drop.training and not scripted.inner.training
    assert model.drop.training and model.inner.training, "the model has a mode of its own"
    x = distrt.ones(1, 2)
    assert distrt.equal(scripted(x), scripted(x))
    scripted.train()
    with distrt.no_grad():
        drawn = distrt.stack([scripted(x) for _ in range(20)])
    assert (drawn == 0).any() and not (drawn == 0).all()


def test_it_trains_as_the_model_does() -> None:
    distrt.manual_seed(1)
    model = Small().eval()
    scripted = jit.script(copy.deepcopy(model))
    x, y = distrt.randn(8, 2), distrt.randn(8, 3)
    for each in (model, scripted):
        optimizer = distrt.optim.Adam(each.parameters(), lr=0.05)
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.mse_loss(each(x), y).backward()
            optimizer.step()
    for one, other in zip(model.parameters(), scripted.parameters(), strict=True):
        assert distrt.equal(one, other)


def test_a_copy_has_parameters_of_its_own() -> None:
    scripted = jit.script(Small()).eval()
    made = copy.deepcopy(scripted)
    with distrt.no_grad():
        made.fc.weight.zero_()
    assert scripted.fc.weight.abs().sum() > 0
    assert not distrt.equal(made(distrt.ones(1, 2)), scripted(distrt.ones(1, 2)))
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        pickle.dumps(scripted)


def test_a_layer_alone_is_scripted_around_itself() -> None:
    layer = nn.Linear(2, 2)
    scripted = jit.script(layer)
    assert (
        isinstance(scripted, jit.ScriptModule)
        and scripted.weight is layer.weight
        and scripted.in_features == 2
    )
    assert distrt.equal(scripted(distrt.ones(1, 2)), layer(distrt.ones(1, 2)))
    assert not scripted.eval().training and layer.training


def test_freezing_turns_parameters_into_constants() -> None:
    model = Small()
    scripted = jit.script(model)
    with pytest.raises(RuntimeError, match="eval mode"):
        jit.freeze(scripted)
    with pytest.raises(RuntimeError, match="ScriptModule as input"):
        jit.freeze(model)
    x = distrt.randn(2, 2)
    expected = scripted.eval()(x)
    frozen = jit.freeze(scripted)
    assert not list(frozen.parameters()) and not hasattr(frozen, "name_of")
    assert hasattr(jit.freeze(scripted, ["name_of"]), "name_of")
    with distrt.no_grad():
        model.fc.weight.zero_()
    assert distrt.equal(frozen(x), expected)
    assert distrt.equal(jit.optimize_for_inference(jit.script(model))(x), model.eval()(x))


def test_a_scripted_child_stays_what_it_is() -> None:
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.child = jit.script(Inner())
            self.layer = jit.script(nn.Linear(2, 2))

        def forward(self, x):
            return self.layer(self.child(x, shift=1.0))

    model = Outer()
    scripted = jit.script(model)
    x = distrt.randn(1, 2)
    assert scripted.child is model.child and distrt.equal(scripted(x), model(x))
    loaded = jit.load(_buffer(scripted))
    assert distrt.equal(loaded(x), model(x))


def _buffer(scripted: Any) -> Any:
    return io.BytesIO(scripted.save_to_buffer())


def test_questions_and_annotations_in_python() -> None:
    assert not jit.is_scripting() and not jit.is_tracing()
    seen = []
    jit.trace(lambda x: seen.append(jit.is_tracing()) or x + 1, distrt.ones(1), check_trace=False)
    assert seen == [True]
    assert jit.annotate(jit.annotations.List[int], [1]) == [1]
    assert jit.Attribute([1], list[int]).value == [1]
    with jit.fuser("fuser1"), jit.strict_fusion():
        pass
    with pytest.raises(RuntimeError, match="unrecognized fuser"), jit.fuser("fuser9"):
        pass
    assert jit.isinstance([1], list[int]) and not jit.isinstance(["a"], list[int])
    assert jit.isinstance(None, Optional[int]) and jit.isinstance({"a": 1.5}, dict[str, float])  # noqa: UP045
    assert jit.wait(jit.fork(lambda x: x + 1, 2)) == 3
    assert jit.set_fusion_strategy([("STATIC", 2)]) == []
    with jit.optimized_execution(True):
        pass


def test_fork_interfaces_and_script_if_tracing() -> None:
    @jit.script
    def forks(x):
        future = jit.fork(_doubled, x)
        return jit.wait(future) + 1

    @jit.script_if_tracing
    def keeps(x):
        return x * 2 if x.sum() > 0 else x

    @jit.interface
    class Shape:
        def forward(self, x):
            pass

    assert forks(distrt.ones(1)).item() == 3
    assert keeps(distrt.ones(1)).item() == 2 and Shape is not None
    assert jit.export_opnames(jit.script(_doubled)) == []
    assert "mul" in jit.export_opnames(jit.trace(_doubled, distrt.ones(1)))


def _doubled(x):
    return x * 2
