"""Facade: of PyTorch's ``torch.utils.tensorboard.summary`` what scripts call themselves."""

from __future__ import annotations

from typing import Any

from distrt.scalars.settings import settings_of_a_run

__all__ = ["hparams"]


def hparams(
    hparam_dict: Any = None, metric_dict: Any = None, hparam_domain_discrete: Any = None
) -> tuple[Any, Any, Any]:
    """The three messages of ``SummaryWriter.add_hparams``, for scripts that write them into a folder of their choice.

    Raises:
        TypeError: one of them is no dictionary, or a value is of another type than the setting.
        ValueError: a setting is neither number, text nor truth value.
    """
    return settings_of_a_run(hparam_dict, metric_dict, hparam_domain_discrete or {})
