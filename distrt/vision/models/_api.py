"""Weights that belong to a model, the list of all models, and what a model's function does with ``weights=``."""

from __future__ import annotations

import fnmatch
import functools
import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, Protocol

from distrt.core.process.users_code import warn
from distrt.files.hub import load_state_dict_from_url
from distrt.nn import Module

__all__ = [
    "Weights",
    "WeightsEnum",
    "builder",
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
]


@dataclass
class Weights:
    """One set of weights.

    Attributes:
        url: where the file is; the end of its name is the beginning of its SHA-256.
        transforms: makes the transform that the weights were trained for.
        meta: what is known of them: ``num_params``, ``categories``, ``min_size``, ``recipe`` and figures.
    """

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]


class WeightsEnum(Enum):
    """The sets of weights of one model; ``DEFAULT`` is the best of them."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The set that ``obj`` is or names; None for None.

        Raises:
            KeyError: for a name that there is not.
            TypeError: for another model's weights.
        """
        if obj is None or isinstance(obj, cls):
            return obj
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        raise TypeError(
            f"Invalid Weight class provided; expected {cls.__name__} but received {obj.__class__.__name__}."
        )

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads the file, as ``hub.load_state_dict_from_url`` with these arguments."""
        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}.{self._name_}"

    @property
    def url(self) -> str:
        """Where the file is."""
        return str(self.value.url)

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes the transform that the weights were trained for."""
        transforms: Callable[..., Any] = self.value.transforms
        return transforms

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the weights."""
        meta: dict[str, Any] = self.value.meta
        return meta


class _Build(Protocol):
    __name__: str

    def __call__(self, **kwargs: Any) -> Any: ...


#: Every model's function and its weights, by the function's name.
_BUILDERS: dict[str, tuple[Callable[..., Any], Any]] = {}


def builder(
    weights_class: Any,
    *,
    arguments: Callable[[Any], dict[str, Any]] = lambda weights: {},
    renamed: Callable[[dict[str, Any]], dict[str, Any]] = lambda state: state,
) -> Callable[[_Build], Callable[..., Any]]:
    """Turns a function that builds a model into one that knows ``weights=`` and ``progress=``, and lists it.

    Args:
        weights_class: the model's weights.
        arguments: what the model is built with for a set of weights, which the caller must not contradict.
        renamed: changes the keys of a file that is older than the model's names.
    """

    def decorate(build: _Build) -> Callable[..., Any]:
        @functools.wraps(build)
        def model(*args: Any, progress: bool = True, **kwargs: Any) -> Any:
            weights = weights_class.verify(_chosen_weights(build.__name__, weights_class, args, kwargs))
            if weights is None:
                return build(**kwargs)
            categories = weights.meta.get("categories")
            fixed = arguments(weights) | ({"num_classes": len(categories)} if categories else {})
            for name, value in fixed.items():
                if kwargs.setdefault(name, value) != value:
                    raise ValueError(
                        f"The parameter '{name}' expected value {value} but got {kwargs[name]} instead."
                    )
            made = build(**kwargs)
            made.load_state_dict(renamed(weights.get_state_dict(progress=progress, check_hash=True)))
            return made

        model.__signature__ = _signature(build)  # type: ignore[attr-defined]
        model.__module__ = build.__module__
        _BUILDERS[build.__name__] = (model, weights_class)
        return model

    return decorate


def _signature(build: Callable[..., Any]) -> inspect.Signature:
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [
        inspect.Parameter("weights", keyword, default=None, annotation=Any),
        inspect.Parameter("progress", keyword, default=True, annotation=bool),
    ]
    signature = inspect.signature(build)
    return signature.replace(parameters=[*own, *signature.parameters.values()])


def _chosen_weights(name: str, weights_class: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What was asked for in one of the ways there have been: ``weights=``, its place in the list, ``pretrained=``."""
    if len(args) > 1:
        raise TypeError(f"{name}() takes at most 1 positional argument (weights), but {len(args)} were given")
    if args:
        _deprecated(
            "Using 'weights' as positional parameter(s) is deprecated since 0.13 and may be removed in the future. "
            "Please use keyword parameter(s) instead."
        )
        kwargs["weights"] = args[0]
    if "pretrained" in kwargs:
        _deprecated(
            "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, please use "
            "'weights' instead."
        )
        kwargs["weights"] = kwargs.pop("pretrained")
    chosen = kwargs.pop("weights", None)
    if chosen is None or isinstance(chosen, WeightsEnum | str):
        return chosen
    first = next(iter(weights_class)) if chosen else None
    more = f" You can also use `weights={weights_class.__name__}.DEFAULT` to get the most up-to-date weights."
    _deprecated(
        "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 and may be removed in "
        f"the future. The current behavior is equivalent to passing `weights={first}`.{more if first else ''}"
    )
    return first


def _deprecated(message: str) -> None:
    warn(message)


# -- the list of models


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of all models, in alphabetical order.

    Args:
        module: only those that this module defines; ``distrt.vision.models`` itself defines all.
        include: only those that one of these shell patterns fits.
        exclude: without those that one of these fits.
    """
    names = {
        name
        for name, (model, _) in _BUILDERS.items()
        if module is None or model.__module__.rpartition(".")[0] == module.__name__
    }
    if include:
        names = {name for name in names if _fits(name, include)}
    if exclude:
        names = {name for name in names if not _fits(name, exclude)}
    return sorted(names)


def _fits(name: str, patterns: Iterable[str] | str) -> bool:
    return any(
        fnmatch.fnmatch(name, each) for each in ([patterns] if isinstance(patterns, str) else patterns)
    )


def get_model(name: str, **config: Any) -> Module:
    """Builds a model by its name, with the arguments of its function. Raises ValueError for a name there is not."""
    made: Module = get_model_builder(name)(**config)
    return made


def get_model_builder(name: str) -> Callable[..., Module]:
    """The function that builds a model. Raises ValueError for a name there is not."""
    return _of_name(name)[0]


def get_model_weights(name: Callable[..., Module] | str) -> type[WeightsEnum]:
    """The weights of a model, given by its name or its function. Raises ValueError for one there is not."""
    weights: type[WeightsEnum] = _of_name(name if isinstance(name, str) else name.__name__)[1]
    return weights


def _of_name(name: str) -> tuple[Callable[..., Any], Any]:
    try:
        return _BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name}") from None


def get_weight(name: str) -> WeightsEnum:
    """The set of weights that is called so, such as "ResNet50_Weights.IMAGENET1K_V2".

    Raises:
        ValueError: for a name without a set, and for a class there is not.
        KeyError: for a set there is not.
    """
    class_name, dot, set_name = name.partition(".")
    if not dot or not set_name:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    models = importlib.import_module("distrt.vision.models")
    found = getattr(models, class_name, None)
    if not (isinstance(found, type) and issubclass(found, WeightsEnum)):
        raise ValueError(f"The weight enum '{class_name}' for the specific method couldn't be retrieved.")
    return found[set_name]
