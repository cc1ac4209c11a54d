"""``--config job.toml``: options, the script, its arguments and variables, out of a file.

    nproc-per-node = 4
    max-restarts = 3
    tee = "3"
    script = "train.py"
    arguments = ["--epochs", "3"]
    [env]
    OMP_NUM_THREADS = "2"

The command line wins over the file, and the file over ``PET_*`` variables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Config", "read_config"]


@dataclass(frozen=True)
class Config:
    """What a file says.

    Attributes:
        options: values by name, with dashes; text, or a bool for a flag.
        script: the script; empty where the command line has to say.
        arguments: the script's, if the command line gives no script.
        variables: for the ranks, beside what the launcher sets.
    """

    options: dict[str, str | bool] = field(default_factory=dict)
    script: str = ""
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


def read_config(path: str, flags: Sequence[str], others: Sequence[str]) -> Config:
    """Read a file.

    Args:
        flags: names of the options without a value.
        others: names of those with one.

    Raises:
        ValueError: it cannot be read, or has something that is no option.
    """
    import tomllib  # most jobs have no such file

    try:
        with open(path, "rb") as file:
            content: dict[str, Any] = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"--config {path}: {error}") from None
    script, arguments = content.pop("script", ""), content.pop("arguments", [])
    variables = content.pop("env", {})
    if not isinstance(script, str) or not isinstance(arguments, list) or not isinstance(variables, dict):
        raise ValueError(f"--config {path}: expected script as text, arguments as a list, env as a table")
    options: dict[str, str | bool] = {}
    for key, value in content.items():
        name = key.replace("_", "-")
        if name in flags and isinstance(value, bool):
            options[name] = value
        elif name in others and isinstance(value, (str, int, float)) and not isinstance(value, bool):
            options[name] = str(value)
        else:
            expected = (
                "true or false" if name in flags else "a number or text" if name in others else "no such key"
            )
            raise ValueError(f"--config {path}: {key} = {value!r}: {expected} is expected")
    return Config(
        options, script, tuple(map(str, arguments)), {name: str(value) for name, value in variables.items()}
    )
