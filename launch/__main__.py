"""``python -m launch`` is ``distrt-launch``."""

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the launcher and return its exit code.

    A batch system's warning may come while the launcher is imported, which it would end: it waits until there is a
    `SignalInbox`. Ctrl-C in that time ends it without a traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1, signal.SIGUSR2))
    try:
        from launch.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
