"""The options of the command line: torchrun's, spelled as torchrun spells them, and a few of our own.

Each option has two spellings, ``--nproc-per-node`` and ``--nproc_per_node``, and (where torchrun's has) a variable that
gives its default, ``PET_NPROC_PER_NODE``. `launch.command.arguments` says what the values mean.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launch.command.config import Config, read_config
from launch.exit_codes import EXPLANATION
from launch.reports.display import FOLD_CHOICES

__all__ = ["OPTIONS", "OWN_OPTIONS", "Option", "make_parser", "parse_options", "split_options"]


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: its long name, with dashes.
        kind: what its text is turned into; bool for a flag without a value.
        letter: its short name.
        aliases: other long names.
        has_variable: whether ``PET_<NAME>`` gives its default.
    """

    name: str
    help: str
    default: Any = ""
    kind: type = str
    metavar: str | None = None
    letter: str | None = None
    choices: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    has_variable: bool = True

    @property
    def variable(self) -> str:
        """The environment variable that gives the default."""
        return "PET_" + self.name.replace("-", "_").upper()

    @property
    def spellings(self) -> list[str]:
        """All that may stand on the command line."""
        names = [f"--{name}" for name in (self.name, *self.aliases)]
        both = [spelling for name in names for spelling in (name, "--" + name[2:].replace("-", "_"))]
        return [*([f"-{self.letter}"] if self.letter else []), *dict.fromkeys(both)]


#: torchrun's, in its order.
OPTIONS = (
    Option("nnodes", "machines, or MIN:MAX of them (default 1)", "1:1", metavar="N"),
    Option("nproc-per-node", "ranks on this machine: a number, cpu, gpu or auto (default 1)", "1", metavar="N"),
    Option("rdzv-backend", "static (machines are numbered by --node-rank) or c10d (numbered as they come)", "static"),
    Option("rdzv-endpoint", "where the machines meet", metavar="HOST[:PORT]"),
    Option("rdzv-id", "the job's name: the same on every machine", "none", metavar="ID"),
    Option("rdzv-conf", "join_timeout, last_call_timeout, ... in seconds", metavar="KEY=VALUE,..."),
    Option("standalone", "one machine, and a free port, whatever else is said", False, bool),
    Option("max-restarts", "how often a failed job is started again (default 0)", 0, int, "N"),
    Option("monitor-interval", "accepted; a rank's end is seen at once", 0.1, float, "SECONDS"),
    Option("start-method", "accepted; ranks are new interpreters", "spawn", choices=("spawn", "fork", "forkserver")),
    Option("event-log-handler", "console shows starts and ends as JSON; events.jsonl has them anyway", "null"),
    Option("role", "what ROLE_NAME says", "default"),
    Option("module", "run a module, as python -m does", False, bool, letter="m"),
    Option("no-python", "the target is a program, to be executed as it is", False, bool),
    Option("run-path", "run the script with runpy.run_path", False, bool),
    Option(
        "log-dir", "where the job makes its own run directory (default: runs)", None,
        metavar="DIR", aliases=("run-dir",),
    ),
    Option("redirects", "0 none, 1 stdout, 2 stderr, 3 both, or 0:1,1:2: to files only", "0", letter="r"),
    Option("tee", "likewise: to files and here", "0", letter="t"),
    Option("local-ranks-filter", "show these ranks' output only", metavar="0,1,..."),
    Option("duplicate-stdout-filters", "copy lines with one of these texts to a file", [], metavar="TEXT,..."),
    Option("duplicate-stderr-filters", "likewise", [], metavar="TEXT,..."),
    Option("node-rank", "this machine's number (static)", 0, int, "K"),
    Option("master-addr", "where machine 0 serves the store (static)", "127.0.0.1", metavar="HOST"),
    Option("master-port", "its port (default: any free one; 29500 with several machines)", None, int, "PORT"),
    Option("local-addr", "this machine's address, as the others know it", None, metavar="HOST"),
    Option("logs-specs", "refused: a plug-in of PyTorch's", None, has_variable=False),
    Option(
        "numa-binding", "refused so far", None,
        choices=("node", "socket", "exclusive", "core-complex"), has_variable=False,
    ),
    Option("signals-to-handle", "what ends the job, passed on to the ranks", "SIGTERM,SIGINT,SIGHUP,SIGQUIT"),
    Option(
        "shutdown-timeout", "from the signal to SIGKILL (default 1.5 after a failure, 25 after Ctrl-C or SIGTERM)",
        None, float, "SECONDS",
    ),
    Option("virtual-local-rank", "each rank sees its own GPU only, as number 0", False, bool),
)  # fmt: skip

#: What torchrun does not have.
OWN_OPTIONS = (
    Option(
        "config",
        "take options, script and variables from this file; the command line wins",
        None,
        metavar="TOML",
    ),
    Option("as-torch", "import torch and import torchvision mean distrt, in all ranks", False, bool),
    Option("dry-run", "show what every rank would be started with, and start none", False, bool),
    Option(
        "hang-timeout", "end the job if a rank makes no call of distrt's for so long", None, float, "SECONDS"
    ),
    Option(
        "fold",
        "show once what several ranks say at about the same time: auto (default) on a terminal",
        "auto",
        choices=FOLD_CHOICES,
    ),
    Option(
        "hosts",
        "start a launcher on each of these machines, with so many ranks (default: --nproc-per-node)",
        metavar="NAME[:RANKS],...",
    ),
    Option("host-launcher", "what starts them", "ssh", choices=("ssh", "mpiexec")),
    Option(
        "end-with-stdin",
        "take the job's secret from stdin, and end the job when stdin ends: how --hosts starts launchers",
        False,
        bool,
        has_variable=False,
    ),
    Option("log-cap-mib", "size of a log file, of which one old one is kept (default 64)", 64, int, "MIB"),
)


def parse_options(argv: Sequence[str], variables: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line, with defaults out of ``variables``; like torchrun's parser, this takes shortened names.

    A wrong one ends the process. The script's own arguments are kept from argparse, which would complain of those that
    look like several of ours.
    """
    place = _place_of_script(argv)
    config = _read_config(argv[:place], variables)
    parser = make_parser(variables, config.options)
    if place < len(argv) or not config.script:
        given = parser.parse_args(argv[: place + 1])
        given.arguments = list(argv[place + 1 :])
    else:
        given = parser.parse_args([*argv, config.script])
        given.arguments = list(config.arguments)
    given.variables = config.variables
    end = place - 1 if place and argv[place - 1] == "--" else place
    given.own_words, given.other_words = list(argv[:end]), list(argv[end:])
    given.fail = parser.error
    return given


def _read_config(options: Sequence[str], variables: Mapping[str, str]) -> Config:
    """Read the file that ``--config`` names, if it does."""
    if not any(text.startswith("--c") for text in options):
        return Config()
    parser = make_parser(variables)
    given = parser.parse_args([*options, "script"])
    if given.config is None:
        return Config()
    every = (*OPTIONS, *OWN_OPTIONS)
    try:
        return read_config(
            given.config,
            flags=[option.name for option in every if option.kind is bool],
            others=[option.name for option in every if option.kind is not bool and option.name != "config"],
        )
    except ValueError as error:
        parser.error(str(error))


def _place_of_script(argv: Sequence[str]) -> int:
    place = 0
    while place < len(argv) and argv[place].startswith("-") and argv[place] != "-":
        if argv[place] == "--":
            return place + 1
        place += 2 if _needs_value(argv[place]) else 1
    return place


def split_options(argv: Sequence[str], own: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """Split a command line into some options of another command's, and the rest; from the script on all is the rest.

    Args:
        own: that command's options, and whether each takes a value.
    """
    mine: list[str] = []
    rest: list[str] = []
    place = 0
    while place < len(argv) and argv[place].startswith("-") and argv[place] not in ("-", "--"):
        name, equals, _ = argv[place].partition("=")
        takes_next = own[name] and not equals if name in own else _needs_value(argv[place])
        end = place + 1 + takes_next
        (mine if name in own else rest).extend(argv[place:end])
        place = end
    return mine, [*rest, *argv[place:]]


def _needs_value(text: str) -> bool:
    """Whether the option's value is the next argument."""
    name, equals, _ = text.partition("=")
    return not equals and any(
        option.kind is not bool and _is_spelling(name, spelling)
        for option in (*OPTIONS, *OWN_OPTIONS)
        for spelling in option.spellings
    )


def _is_spelling(name: str, spelling: str) -> bool:
    return name == spelling or (name.startswith("--") and spelling.startswith(name))


def make_parser(
    variables: Mapping[str, str], chosen: Mapping[str, str | bool] | None = None
) -> argparse.ArgumentParser:
    """Return the parser of what comes before the script's arguments."""
    parser = argparse.ArgumentParser(
        prog="distrt-launch",
        usage="distrt-launch [options] script [args...]  |  distrt-launch [options] -m module [args...]",
        description="Start the ranks of a job on this machine, watch over them, and end them together.\n"
        "With several ranks each output line begins with [rank]; a single rank writes straight through.\n"
        "Every option of torchrun's is known, and so are its PET_* variables.\n"
        "`distrt-launch doctor` tells what is here for a job to use, and whether two ranks can work together;\n"
        "`distrt-launch top [run directory]` shows what a job's ranks are doing;\n"
        "`distrt-launch report [run directory]` makes a page of a job, `distrt-launch trace` one trace of the ranks';\n"
        "`distrt-launch submit --scheduler slurm|pbs|lsf|k8s ...` hands a job to a batch system;\n"
        "`distrt-launch --print-completion bash` (or zsh) prints what the shell needs to complete options.",
        epilog=EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option in (*OPTIONS, *OWN_OPTIONS):
        _add(parser, option, variables, (chosen or {}).get(option.name))
    parser.add_argument("script", help="the script, or with -m the module")
    return parser


def _add(
    parser: argparse.ArgumentParser, option: Option, variables: Mapping[str, str], chosen: str | bool | None
) -> None:
    found = variables.get(option.variable, "") if option.has_variable else ""
    if chosen is not None:
        found = chosen if isinstance(chosen, str) else str(int(chosen))
    dest = option.name.replace("-", "_")
    if option.kind is bool:
        if found not in ("", "0", "1"):
            parser.error(f"{option.variable}={found!r}: expected 0 or 1")
        parser.add_argument(
            *option.spellings, dest=dest, action="store_true", default=found == "1", help=option.help
        )
        return
    if found and option.choices and found not in option.choices:
        parser.error(f"{option.variable}={found!r}: expected one of {', '.join(option.choices)}")
    parser.add_argument(
        *option.spellings,
        dest=dest,
        type=option.kind,
        choices=option.choices,
        default=found or option.default,
        metavar=option.metavar or (None if option.choices else dest.upper()),
        help=option.help,
    )
