"""What the launcher's tests share."""

from collections.abc import Callable

import pytest

from launch.command.arguments import parse_arguments

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """``refused(arguments, variables)`` gives what a wrong command line is told; it ends with exit code 2."""

    def ask(*arguments: object) -> str:
        with pytest.raises(SystemExit) as exit_info:
            parse_arguments(*arguments)  # type: ignore[arg-type]
        assert exit_info.value.code == 2
        return capsys.readouterr().err

    return ask
