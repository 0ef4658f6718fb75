"""A small training that several tests record, interrupt and go on with."""

import numpy as np

import snnlearn as sl

TASK = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=4, rate=400.0, seed=3)
NET = sl.Network(TASK.n_inputs, sl.LIF(12, threshold=0.5), sl.Readout(TASK.n_outputs, tau=5.0))
PLAN = {"trials": 24, "batch": 4, "evaluate_every": 3, "evaluate_trials": 8}


def simulator(net=NET, **changes):
    parts = {"rule": sl.EProp(), "optimizer": sl.Adam(5e-3), "loss": sl.CrossEntropy(), "seed": 5} | changes
    return sl.Simulator(net, **parts)


def interrupted(path, sim=None, after=5, plan=PLAN, task=TASK, **options):
    """A training that Ctrl-C ends within a batch, so that the last checkpoint is an older one."""

    def interrupt(simulator, history):
        if len(history.loss) == after:
            raise KeyboardInterrupt

    recorder = sl.Recorder(path, v=[0, 3], every=4, weights_every=2, checkpoint_every=2)
    history = (sim or simulator()).train(task, recorder=recorder, callbacks=[interrupt], **plan, **options)
    recorder.close(history.status)
    assert history.status == "interrupted"


def uninterrupted(path, sim=None, **options):
    sim = sim or simulator()
    with sl.Recorder(path, v=[0, 3], every=4, weights_every=2, checkpoint_every=2) as recorder:
        return sim, sim.train(TASK, recorder=recorder, **PLAN, **options)


def same_weights(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.weights, b.weights, strict=True))
