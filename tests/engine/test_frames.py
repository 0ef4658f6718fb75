"""How far it is from a call to the arithmetic: own Python frames on the stack where the compiled loop is called."""

import traceback

import numpy as np
import pytest

import snnlearn as sl
from snnlearn.engine import engine


@pytest.fixture
def frames(monkeypatch):
    """Names of the package's functions on the stack, for each call of the compiled loop."""
    found, real = [], engine.runner

    def runner(*arguments):
        run_block = real(*arguments)

        def call(*bundles):
            found.append([f.name for f in traceback.extract_stack() if "/snnlearn/" in f.filename.replace("\\", "/")])
            return run_block(*bundles)

        return call

    monkeypatch.setattr(engine, "runner", runner)
    return found


def test_from_gradient(frames):
    net = sl.Network(3, sl.LIF(6, threshold=0.3), 2)
    for rule in (sl.EProp(), sl.BPTT(), sl.RTRL()):
        sl.gradient(net, net.init_weights(), np.ones((20, 3)), np.zeros((20, 2)), rule, threads=1)
    assert len(frames) >= 3
    assert max(map(len, frames)) <= 4, max(frames, key=len)


def test_from_train(frames):
    task = sl.tasks.PatternGeneration(n_steps=30, n_inputs=3, periods=(30.0,))
    net = sl.Network(3, sl.LIF(6, threshold=0.3), task.n_outputs)
    sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), threads=1).train(task, 4, batch=2)
    assert len(frames) >= 2
    assert max(map(len, frames)) <= 6, max(frames, key=len)
