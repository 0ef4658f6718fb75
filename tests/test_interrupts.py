"""Signals that wait."""

import os
import signal
import threading

import pytest

from snnlearn.interrupts import Interrupts, shielded

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
