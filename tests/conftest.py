"""Fixtures that several test files share."""

import signal

import numpy as np
import pytest
from recording_twin import draw_twin, record_all

from snnlearn.recording import open_recording

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as shells start what runs in the background; tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def path(tmp_path):
    """Where a test's recording goes."""
    return tmp_path / "run.h5"


@pytest.fixture
def twin():
    """A run to record, in memory."""
    return draw_twin()


@pytest.fixture
def recorded(path, twin):
    """The twin's recording, open for reading."""
    record_all(path, twin)
    with open_recording(path) as rec:
        yield rec
