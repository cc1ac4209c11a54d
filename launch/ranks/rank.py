"""What runs inside each rank before the user's script, and becomes it.

``processes.start_rank`` executes this file by its path: ``python rank.py GATE_FD script|module|path|program TARGET
ARGS...``. It ties the rank's life to the launcher's, waits at the gate until the launcher has recorded it,
and then runs the target as ``python TARGET ARGS...`` would, but for one thing: an uncaught exception goes
into a file, ``TORCHELASTIC_ERROR_FILE``, from where the launcher prints it once. Standard library only, and nothing of
ours: the user's ``sys.path`` is not ours to extend.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # this file's own folder, which the interpreter put there

import _signal  # type: ignore[import-not-found] # whose getsignal makes no enumeration of what it finds
import faulthandler
import json
import os
import signal
import threading
import time
import traceback
import types
from pathlib import Path
from typing import NoReturn

EXIT_PATIENCE_S = 2.0  # how long an interpreter may take to end after an uncaught exception
#: What may come before this file has begun. SIGINT would have the interpreter print a traceback of its own.
EARLY = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1
_EXIT_CODES = {"AuthenticationError": 77, "RendezvousError": 69}  # otherwise 1, Python's own
# Read now: from Python 3.14 on this file's __file__ is gone when the excepthook is called.
_BOOTSTRAP = (__file__, "<frozen runpy>")


def main() -> None:
    """Prepare this process, then run the target in it; returns when the target's main module ends."""
    gate_fd, kind, target, *arguments = sys.argv[1:]
    sys.excepthook = Recorder()
    if kind != "program":
        wait_for_handlers()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, EARLY)  # which `processes.start_rank` held
    die_with_launcher(int(os.environ["DISTRT_LAUNCHER_PID"]))
    wait_at_gate(int(gate_fd))
    if kind == "program":
        run_program(target, arguments)
    faulthandler.enable()
    show_stacks_on_demand()
    sys.modules["__main__"] = module = fresh_main()
    if kind == "module":
        run_module(target, arguments)
    elif kind == "path":
        run_path(target, arguments)
    elif os.path.isdir(target) or target.endswith((".zip", ".pyz")):
        run_container(target, arguments)
    else:
        run_script(module, target, arguments)


def fresh_main() -> types.ModuleType:
    """Return an empty ``__main__``, with what the interpreter puts into its own.

    From Python 3.14 on that is no ``__annotations__``: one that were there would hide those that the script states.
    """
    module, given = types.ModuleType("__main__"), vars(sys.modules["__main__"])
    module.__dict__["__builtins__"] = given["__builtins__"]
    if "__annotations__" in given:
        module.__annotations__ = {}
    return module


class UntilHandled:
    """The first handler of a signal for scripts, such as a batch system's "save now": keeps it until they have theirs.

    Without a handler it would end a rank that still imports what it needs. It is equal to ``SIG_DFL``, and
    ``signal.getsignal`` takes it for that, since libraries install their handlers only where there is none.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.came = False

    def __eq__(self, other: object) -> bool:
        return other is self or other == signal.SIG_DFL

    def __call__(self, number: int, frame: types.FrameType | None) -> None:
        """Note the signal; one that a later handler hands on has been heard."""
        if self.came or _signal.getsignal(number) is not self:
            return
        self.came = True
        threading.Thread(
            target=self._repeat, args=(number, os.getpid()), name="distrt-early", daemon=True
        ).start()

    def _repeat(self, number: int, pid: int) -> None:
        while _signal.getsignal(number) is self:
            time.sleep(_LOOK_S)
        self.came = False
        os.kill(pid, number)


def wait_for_handlers() -> None:
    """Keep signals that mean something to scripts alone until these listen; not those that are to end the job."""
    endings = os.environ.get("TORCHELASTIC_SIGNALS_TO_HANDLE", "").split(",")
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        if number.name not in endings and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, UntilHandled())


def die_with_launcher(launcher_pid: int) -> None:
    """Have the kernel kill this process when the launcher dies; end now if it has died already."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != launcher_pid:
        os._exit(1)


def show_stacks_on_demand() -> None:
    """Where the launcher watches for hangs, have it find the stacks of all threads in a file when it signals."""
    if path := os.environ.get("DISTRT_STACKS_FILE"):
        # faulthandler keeps the file.
        faulthandler.register(signal.SIGRTMIN + 8, file=open(path, "w"), all_threads=True)  # noqa: SIM115


def wait_at_gate(gate_fd: int) -> None:
    """Wait until the launcher has recorded this process, so that nothing it starts can be lost."""
    if os.read(gate_fd, 1) == b"":  # the launcher died
        os._exit(1)
    os.close(gate_fd)


def run_program(program: str, arguments: list[str]) -> NoReturn:
    """Become a program that need not be Python; the kernel still kills it with the launcher."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and other programs should not
        signal.signal(number, signal.SIG_DFL)
    os.execvp(program, [program, *arguments])


def run_path(script: str, arguments: list[str]) -> None:
    """Run a file as torchrun does with ``--run-path``: its folder is not on ``sys.path``."""
    import runpy

    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def run_script(module: types.ModuleType, script: str, arguments: list[str]) -> None:
    """Run a file as ``python script arguments...`` does, in ``module``."""
    from importlib.machinery import SourceFileLoader

    path = os.path.join(os.getcwd(), script)
    sys.argv = [script, *arguments]
    if not sys.flags.safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    module.__file__ = path
    module.__loader__ = SourceFileLoader("__main__", path)
    module.__dict__["__cached__"] = None
    code = compile(Path(script).read_bytes(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)


def run_module(name: str, arguments: list[str]) -> None:
    """Run a module as ``python -m name arguments...`` does, through the interpreter's own entry."""
    import runpy

    sys.argv = ["-m", *arguments]
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def run_container(path: str, arguments: list[str]) -> None:
    """Run the ``__main__`` of a directory or zip file as ``python path arguments...`` does."""
    import runpy

    sys.argv = [path, *arguments]
    sys.path.insert(0, path)
    runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]


class Recorder:
    """An excepthook that writes an uncaught exception into a file, for the launcher to print.

    Its "message" has the form that torchrun's tools read.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.rank = int(os.environ["DISTRT_RANK"])
        self.path = os.environ["TORCHELASTIC_ERROR_FILE"]

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
    ) -> None:
        """Record the exception; Ctrl-C is dropped (its sender knows); a forked child prints its own."""
        if issubclass(kind, KeyboardInterrupt):
            return
        trace = without_bootstrap(trace)
        if os.getpid() != self.pid:
            sys.__excepthook__(kind, error, trace)
            return
        try:
            self.write(kind, error, trace)
        except OSError:
            sys.__excepthook__(kind, error, trace)
        faulthandler.dump_traceback_later(EXIT_PATIENCE_S, exit=True)

    def write(
        self, kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
    ) -> None:
        """Write the record, whole or not at all."""
        names = [base.__name__ for base in kind.__mro__ if base.__module__ == "distrt.core.errors"]
        summary, text = summarize(kind, error), "".join(traceback.format_exception(kind, error, trace))
        record = {
            "message": {
                "message": summary,
                "extraInfo": {"py_callstack": text, "timestamp": str(int(time.time()))},
            },
            "rank": self.rank,
            "pid": self.pid,
            "time_monotonic_s": time.monotonic(),
            "summary": summary,
            "traceback": text,
            "exit_code": next((_EXIT_CODES[name] for name in names if name in _EXIT_CODES), 1),
            "is_consequence": "PeerFailed" in names,
            "is_memory_error": issubclass(kind, MemoryError),
        }
        draft = f"{self.path}.{self.pid}"
        with open(draft, "w", encoding="utf-8", errors="backslashreplace") as file:
            json.dump(record, file)
        os.replace(draft, self.path)


def summarize(kind: type[BaseException], error: BaseException) -> str:
    """Return the exception's name and the first line of what it says."""
    try:
        lines = str(error).splitlines()
    except Exception:
        lines = ["its message cannot be shown"]
    return f"{kind.__name__}: {lines[0]}" if lines else kind.__name__


def without_bootstrap(trace: types.TracebackType | None) -> types.TracebackType | None:
    """Drop the leading frames of this file and of the machinery that runs the target."""
    while trace is not None and trace.tb_frame.f_code.co_filename in _BOOTSTRAP:
        trace = trace.tb_next
    return trace


if __name__ == "__main__":
    main()
