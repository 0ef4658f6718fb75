"""Ctrl-C while the command `snnlearn` comes to life: it ends without a traceback.

The package is imported before `snnlearn.cli.main` runs, which takes a second or two.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from typing import Any


def _is_command() -> bool:
    """Whether this process has been started as `snnlearn` or `python -m snnlearn`, and is no worker of one."""
    program = sys.argv[0] if sys.argv else ""
    return program in sys.orig_argv and (program == "-m" or pathlib.Path(program).stem == "snnlearn")


def _end(number: int, frame: Any) -> None:
    os._exit(128 + number)  # nothing has begun that would have to be cleaned up


def begin() -> None:
    """Have Ctrl-C end the process from here on, where it is the command."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def end() -> None:
    """Ctrl-C is KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


begin()
