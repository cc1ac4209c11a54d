"""The outputs of a model's inner layers, by hooks: torchvision traces the program with ``torch.fx`` instead.

Source: https://pytorch.org/vision/stable/feature_extraction.html.
"""

from __future__ import annotations

import copy
from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError
from distrt.nn import Module

__all__ = ["create_feature_extractor", "get_graph_node_names"]


class FeatureExtractor(Module):
    """Runs a model, and gives what its layers of interest returned in their last call.

    Args:
        model: any module; the extractor has its layers, under their names.
        names: for each layer of interest (its path, such as "layer3.0.conv1"), the name that its output gets.
    """

    def __init__(self, model: Module, names: dict[str, str]) -> None:
        super().__init__()
        layers = dict(model.named_modules())
        missing = [name for name in names if name not in layers]
        if missing:
            raise ValueError(
                f"node '{missing[0]}' is no layer of {type(model).__name__}. distrt does not trace programs, so "
                f"that results of single operations have no names; its layers: {', '.join(sorted(layers)[1:])}"
            )
        for child_name, child in model.named_children():
            self.add_module(child_name, child)
        object.__setattr__(self, "_model", copy.copy(model))  # not a second owner of the layers
        self._features: dict[str, Any] = {}
        self._names = names
        for name, new_name in names.items():
            layers[name].register_forward_hook(self._keeper(new_name))

    def _keeper(self, name: str) -> Any:
        def keep(module: Module, inputs: Any, output: Any) -> None:
            self._features[name] = output

        return keep

    def train(self, mode: bool = True) -> Any:
        """Sets the mode of the model as well, which may look at it itself."""
        self._model.train(mode)
        return super().train(mode)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The outputs of interest, in the order in which they were asked for."""
        self._features.clear()
        self._model(*args, **kwargs)
        found = {name: self._features[name] for name in self._names.values() if name in self._features}
        self._features.clear()
        return found


def create_feature_extractor(
    model: Module,
    return_nodes: list[str] | dict[str, str] | None = None,
    train_return_nodes: Any = None,
    eval_return_nodes: Any = None,
    tracer_kwargs: Any = None,
    suppress_diff_warning: bool = False,
    concrete_args: Any = None,
) -> FeatureExtractor:
    """A module with the model's layers that returns a dict of the outputs of some of them.

    A name is the path of a layer ("layer4", "layer1.0.conv2"). torchvision's names of single operations ("add_1",
    "layer1.0.relu_1") need a trace of the program, which distrt does not make. The whole model runs.

    Raises:
        ValueError: for a name that is no layer's.
        UnsupportedError: for different names in training and evaluation.
    """
    if return_nodes is None or train_return_nodes is not None or eval_return_nodes is not None:
        raise UnsupportedError(
            "create_feature_extractor: distrt takes return_nodes, for training and evaluation alike"
        )
    names = dict(return_nodes) if isinstance(return_nodes, dict) else {name: name for name in return_nodes}
    return FeatureExtractor(model, {str(name): str(new) for name, new in names.items()})


def get_graph_node_names(model: Module, *args: Any, **kwargs: Any) -> NoReturn:
    """Not in distrt, which does not trace programs. Raises UnsupportedError."""
    raise UnsupportedError(
        "get_graph_node_names: distrt has no torch.fx; [name for name, _ in model.named_modules()] are the names that "
        "create_feature_extractor takes"
    )


class NodePathTracer:
    """Not in distrt, which does not trace programs. Raises UnsupportedError when made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        get_graph_node_names(Module())
