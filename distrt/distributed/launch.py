"""``python -m distrt.distributed.launch``: PyTorch's older launcher, which tells ranks theirs by ``--local-rank``.

With ``--use-env`` it is ``python -m distrt.distributed.run``, under which scripts read the variable LOCAL_RANK.
"""

import sys
from collections.abc import Sequence

from distrt.core.process.users_code import warn
from launch.cli import main as run
from launch.command.arguments import parse_arguments
from launch.command.options import split_options

__all__ = ["main"]

_SWITCHES = {"--use-env": False, "--use_env": False}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job whose ranks get ``--local-rank=K`` as their first argument, and return its exit code.

    Args:
        argv: as of ``distrt-launch``; ``--use-env`` leaves that argument out.
    """
    warn(
        "The module torch.distributed.launch is deprecated and will be removed in future. Use torchrun "
        "(distrt-launch): it sets the environment variable LOCAL_RANK, which --use-env relies on, too",
        FutureWarning,
    )
    switches, words = split_options(sys.argv[1:] if argv is None else argv, _SWITCHES)
    if switches:
        return run(words)
    target = parse_arguments(words).target
    if target.kind == "program":
        print(
            "distrt-launch: --no-python needs --use-env: a program has no use for --local-rank",
            file=sys.stderr,
        )
        return 2
    place = len(words) - len(target.arguments)
    return run([*words[:place], "--local-rank=${local_rank}", *words[place:]])


if __name__ == "__main__":
    sys.exit(main())
