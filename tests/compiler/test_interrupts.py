"""Signals that wait."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from snnlearn._interrupts import Interrupts, shielded
from snnlearn.compiler import compilations

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_while_held(number):
    before, reached = signal.getsignal(number), []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            assert not interrupts.between
            os.kill(os.getpid(), number)
            reached.append(1)
        assert interrupts.between
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert reached and signal.getsignal(number) is before


def test_a_second_signal_does_not_wait():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError
        assert not interrupts.between


def test_handlers_of_the_user_and_other_threads_are_left_alone():
    seen = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with Interrupts() as interrupts, interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
        assert seen == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, previous)
    failed = []

    def elsewhere():
        try:
            with Interrupts() as interrupts, interrupts.held():
                shielded(lambda: None)()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert not failed


def test_a_shielded_function_runs_to_its_end():
    reached = []

    @shielded
    def inner():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("inner")

    @shielded
    def outer():
        inner()
        reached.append("outer")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        outer()
    assert reached == ["inner", "outer"] and signal.getsignal(signal.SIGINT) is before


def test_a_signal_whose_exception_python_loses_ends_the_next_batch():
    """Exceptions in callbacks of the garbage collector are printed and forgotten."""
    with Interrupts() as interrupts:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            pass  # lost
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            raise AssertionError
        assert interrupts.between


def test_a_signal_that_waits_says_so(capfd, monkeypatch):
    """At once, in one line, that says what it waits for; a second one stops."""
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.held():
        signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err == "\nsnnlearn: interrupted; this batch is finished first (again to stop at once)\n"
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.held():
        monkeypatch.setattr(compilations.ANNOUNCER, "depth", 1)
        signal.raise_signal(signal.SIGINT)
        text = "\nsnnlearn: interrupted; kernels are compiling, and this batch is finished first (again to stop at once)\n"
        assert capfd.readouterr().err == text
        signal.raise_signal(signal.SIGINT)
        raise AssertionError
    assert capfd.readouterr().err == ""


def test_nowhere_to_print(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.held():
        signal.raise_signal(signal.SIGINT)


SCRIPT = """
import builtins, signal, sys
known, waits = builtins.__import__, [True]

def interrupted(name, *rest, **more):
    if name == {name!r} and waits:
        waits.clear()
        signal.raise_signal(signal.SIGINT)
    return known(name, *rest, **more)

builtins.__import__ = interrupted
from snnlearn.cli import main
sys.exit(main(["taxonomy"]))
"""


@pytest.mark.parametrize("name", ["h5py", "parser", "rules.taxonomy", "numba"])
def test_ctrl_c_while_the_command_comes_to_life(tmp_path, name):
    """No traceback, and the status that shells know; the package imports `parser` last, the command `rules.taxonomy` again."""
    script = tmp_path / "snnlearn"
    script.write_text(SCRIPT.format(name=name))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 130 and "Traceback" not in run.stderr, run.stderr


def test_a_script_of_the_user_is_interrupted_as_ever(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT.format(name="h5py"))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode != 0 and "KeyboardInterrupt" in run.stderr
