"""The exit codes that distrt-launch promises, and their text for ``--help``."""

from typing import Final

__all__ = [
    "CANNOT_WRITE",
    "EXPLANATION",
    "HUNG",
    "INTERNAL",
    "NO_SCRIPT",
    "OK",
    "PREEMPTED",
    "REFUSED",
    "UNREACHABLE",
    "USAGE",
]

OK: Final = 0
USAGE: Final = 2
NO_SCRIPT: Final = 66
UNREACHABLE: Final = 69
INTERNAL: Final = 70
HUNG: Final = 71
CANNOT_WRITE: Final = 73
PREEMPTED: Final = 75
REFUSED: Final = 77

EXPLANATION = """\
exit codes:
  0      every rank ended with 0
  1      the first failing rank raised a Python exception
  2      wrong arguments
  66     the script or module does not exist (no rank was started)
  69     the ranks or machines did not find one another, or the fixed port is taken, or a machine is lost
  70     an error of the launcher itself, or the machine starts no more processes
  71     a rank hung (--hang-timeout)
  73     the run directory cannot be written
  75     the ranks were told to go, have saved, and ended with 75: start the job again, and it goes on
  77     a peer without the job's secret
  130    stopped by Ctrl-C (143: by SIGTERM, 129: by SIGHUP)
  128+N  the first failing rank was killed by signal N (137: SIGKILL, 139: SIGSEGV)
  other  what the first failing rank gave to sys.exit
"""
