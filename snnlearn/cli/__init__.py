"""The command line: `main`.

parser.py     the commands and their options
training.py   train, resume, plan
suite.py      suite
forking.py    fork
configure.py  train on a configuration, init, sweep
inspect.py    what reads a recording or prints a table
options.py    what the options of a task mean
bench.py      bench
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from .. import _check, _interrupts
from .parser import make_parser

__all__ = ["main", "make_parser"]

OPTIONS = {  # how errors of the package call what came from an option: its name, and how it is written
    "Recorder.path": ("out", "--out"),
    "Simulator.threads": ("threads", "--threads"),
    "sweep.threads": ("threads", "--threads"),
    "sweep.workers": ("workers", "--workers"),
    "plot.trial": ("trial", "--trial"),
    "export.trials": ("trials", "--trials"),
    "Recording.trials": ("trials", "--trials"),
    "export.format": ("format", "--format"),
    "plan.profile": ("profile", "--profile"),
    "replay.start": ("start", "START"),
    "replay.stop": ("stop", "STOP"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 after an error, 130 after Ctrl-C or SIGTERM."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        print("snnlearn: interrupted", file=sys.stderr)
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    _interrupts.raise_again()
    options = make_parser().parse_args(arguments)
    warnings.showwarning = lambda message, *_: print(f"snnlearn: {message}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # curves and arrows are drawn with signs that not every terminal or file can hold
            stream.reconfigure(errors="replace")
    ends = getattr(signal, "SIGTERM", None) if options.lasts else None
    before = None if ends is None else signal.signal(ends, signal.default_int_handler)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as of `snnlearn info run.h5 | head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at its end
        return 0
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError, LookupError, MemoryError) as error:
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        print(f"snnlearn: {_by_options(text, _check.where_of(error), options)}", file=sys.stderr)
        return 1
    finally:
        if ends is not None:
            signal.signal(ends, before)


def _by_options(text: str, where: str, options: argparse.Namespace) -> str:
    """An error of the package in the words of the command line. where : what it is about"""
    name, option = OPTIONS.get(where, ("", where))
    if getattr(options, name, None) is not None and text.startswith(where):
        text = option + text.removeprefix(where)
    return text.replace("overwrite=True", "--overwrite")
