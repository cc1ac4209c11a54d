"""A run's settings and what has come of them, as messages for TensorBoard's table of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrt.core.tensor import Tensor
from distrt.scalars.messages import number

__all__ = ["settings_of_a_run"]


def settings_of_a_run(
    settings: Mapping[str, Any], metrics: Mapping[str, Any], possible: Mapping[str, list[Any]]
) -> tuple[Any, Any, Any]:
    """What the settings are, what this run has, and that it has ended.

    Raises:
        TypeError: one of them is no dictionary, or a value is of another type than the setting.
        ValueError: a setting is neither number, text nor truth value.
    """
    from tensorboardX.summary import hparams

    plain = _plain(settings, metrics, possible)
    experiment, start, end = hparams(plain, metrics)
    _name_possible_values(experiment, possible)
    return experiment, start, end


def _plain(
    settings: Mapping[str, Any], metrics: Mapping[str, Any], possible: Mapping[str, list[Any]]
) -> dict[str, Any]:
    if not isinstance(settings, dict) or not isinstance(metrics, dict):
        raise TypeError("hparam_dict and metric_dict should be dictionary.")
    if not isinstance(possible, dict):
        raise TypeError("parameter: hparam_domain_discrete should be a dictionary, nothing logged.")
    for name, values in possible.items():
        kind = type(settings.get(name))
        if (
            name not in settings
            or not isinstance(values, list)
            or not all(isinstance(v, kind) for v in values)
        ):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same type as hparam_dict[{name}]."
            )
    plain = {name: number(each) if isinstance(each, Tensor) else each for name, each in settings.items()}
    if not all(value is None or isinstance(value, int | float | str) for value in plain.values()):
        raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
    return plain


def _name_possible_values(experiment: Any, values: Mapping[str, list[Any]]) -> None:
    """Adds to a message about settings which values each of them can have."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    place = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(place.content)
    for each in content.experiment.hparam_infos:
        each.domain_discrete.extend(values.get(each.name, ()))
    place.content = content.SerializeToString()
