"""Copies, pickles and forked processes: what is copied goes on as the original does, bit for bit."""

import copy
import multiprocessing
import os
import pickle
import signal

import naive
import numpy as np
import pytest
from numba import config
from numpy.testing import assert_array_equal
from twin import draw, simulator

import snnlearn as sl
from snnlearn.engine import partition

HOWS = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}
SETTINGS = {
    "trial": (sl.EProp(feedback="adaptive"), sl.Adam(1e-3), {"threads": 2, "passive": [sl.BPTT()]}),
    "interval": (sl.EProp(method="forward"), sl.SGD(1e-2, momentum=0.5), {"update_every": 7}),
    "in place": (sl.EProp(), sl.SGD(1e-3), {"update_every": 1}),
    "only runs": (None, None, {}),
}


def made(name):
    rule, optimizer, options = SETTINGS[name]
    return simulator(draw(kind="alif", T=25, n_ref=2), rule, optimizer, **options)


def goes_on(sim, data):
    """What a simulator does next, as arrays."""
    learns = sim.rule is not None and sim.update_every != "trial"
    x, y, mask = (data[key] for key in ("inputs", "targets", "mask"))
    steps = [sim.step(x[t], y[t], learn=None if learns else False).readout for t in range(10)]
    run = sim.run(x, y, mask)
    return [*steps, run.loss, run.rate, sim.updates_done, sim.stream_steps, *naive.plain(sim.weights).values()]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_copy_of_a_simulator_goes_on_as_it_does(name, how):
    sim, data = made(name)
    before = naive.plain(sim.weights)["w_rec"].copy()
    goes_on(sim, data)  # it has threads, prepared calls, moments, a stream
    assert sim.rule is None or np.abs(naive.plain(sim.weights)["w_rec"] - before).max() > 1e-6
    other = HOWS[how](sim)
    assert type(other) is sl.Simulator and other.config() == sim.config()
    first = goes_on(sim, data)
    for a, b in zip(goes_on(other, data), first, strict=True):
        assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(goes_on(sim, data), first, strict=True))  # it is alive, and no view of the copy


def test_a_copy_has_no_recorder(path):
    sim, data = made("trial")
    with sl.Recorder(path) as recorder:
        sim.run(**data, recorder=recorder)
        assert sim.recorder is recorder
        for how in HOWS.values():
            assert how(sim).recorder is None


def test_a_copy_of_an_interrupted_training_goes_on(path):
    task = sl.tasks.PatternGeneration(n_steps=30, n_inputs=5, periods=(30.0,))
    sim = sl.Simulator(sl.Network(5, sl.LIF(6, threshold=0.05), task.n_outputs), rule=sl.EProp(), optimizer=sl.SGD(1e-3))

    def interrupt(sim, history):
        if len(history.loss) == 2:
            signal.raise_signal(signal.SIGINT)

    with sl.Recorder(path, checkpoint_every=1) as recorder:
        assert sim.train(task, 5, recorder=recorder, callbacks=[interrupt]).status == "interrupted"
    others = [how(sim) for how in HOWS.values()]
    want = sim.train()
    for other in others:
        got = other.train()
        assert got.loss == want.loss and len(got.loss) == 5
        assert_array_equal(other.weights.w_rec, sim.weights.w_rec)


NET = sl.Network(4, [sl.LIF(3, surrogate=sl.ArcTan()), sl.ALIF(3, tau_m=np.linspace(10.0, 20.0, 3))], 2, recurrent=sl.Sparse(2))
OBJECTS = [
    NET,
    NET.init_weights(seed=0),
    sl.Network(4, sl.CubaLIF(3), sl.Readout(2), recurrent=sl.Masked(np.ones((3, 3), bool))),
    *(sl.EProp(), sl.BPTT(), sl.TruncatedBPTT(5), sl.RTRL(), sl.RFLO(), sl.UORO(), sl.SnAp(1)),
    *(sl.SGD(sl.StepDecay(0.1, 0.5, 2)), sl.Adam(sl.CosineDecay(0.1, 10)), sl.SGD(sl.ExponentialDecay(0.1, 5.0))),
    *(sl.MeanSquaredError(), sl.CrossEntropy(), sl.RateRegularizer(10.0, 0.1)),
    *(sl.FastSigmoid(), sl.Exponential(), sl.PiecewiseLinear()),
    sl.Events([0, 2], [1, 0], 3),
    *(
        sl.tasks.Copy(),
        sl.tasks.Digits(),
        sl.tasks.EvidenceAccumulation(),
        sl.tasks.PatternGeneration(),
        sl.tasks.DelayedRecall(),
    ),
]


def equal(a, b):
    """Whether two objects hold the same."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, float) and np.isnan(a):
        return np.isnan(b)
    if hasattr(a, "__slots__") or hasattr(a, "__dict__"):
        names = getattr(a, "__slots__", None) or vars(a)
        return type(a) is type(b) and all(equal(getattr(a, name), getattr(b, name)) for name in names)
    return bool(a == b)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: type(thing).__name__)
def test_what_is_public_can_be_copied(thing, how):
    other = HOWS[how](thing)
    if hasattr(thing, "indptr"):
        other, thing = other.toarray(), thing.toarray()
    assert equal(thing, other)
    if isinstance(thing, sl.tasks.Task):
        assert equal(tuple(thing.trial(3)), tuple(other.trial(3)))


@pytest.mark.parametrize("how", HOWS)
def test_results_can_be_copied(how):
    sim, data = made("trial")
    task = sl.tasks.PatternGeneration(n_steps=30, n_inputs=5, periods=(30.0,))
    learner = sl.Simulator(sl.Network(5, sl.LIF(6, threshold=0.05), task.n_outputs), rule=sl.EProp(), optimizer=sl.SGD(1e-3))
    net, weights = sim.net, sim.weights
    results = [
        sim.run(**data),
        sim.step(data["inputs"][0], data["targets"][0], learn=False),
        learner.train(task, 2),
        sl.simulate(net, weights, data["inputs"]),
        sl.gradient(net, weights, data["inputs"], data["targets"], sl.EProp()),
        sl.taxonomy(),
        sl.synapse_traces(net, weights, (data["inputs"], data["targets"]), [(0, 1)]),
        sl.plan(net, sl.EProp()),
    ]
    for result in results:
        assert equal(result, HOWS[how](result)), type(result)


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="plain Python does not run kernels at the same time")


def in_child(function):
    """What a forked child's function returns."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=lambda: writer.send(function()))
    child.start()
    try:
        assert reader.poll(120), "the child hangs"
        return reader.recv()
    finally:
        child.kill()
        child.join()


@fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_may_not_write_its_parents_recording(tmp_path):
    """It is told so before anything runs, may record to a file of its own, and the parent goes on."""
    sim, data = made("trial")
    path, other = tmp_path / "run.h5", tmp_path / "other.h5"
    sentence = "Recorder must be used in the process that opened its file (got 'a process forked from it'); it may record"
    with sl.Recorder(path) as recorder:
        sim.run(**data, recorder=recorder)
        recorder.flush()

        def child():
            told, before = [], sim.trials_done
            new = sl.Simulator(sim.net)
            for call in (
                lambda: sim.run(**data, recorder=recorder),
                lambda: new.run(data["inputs"], recorder=recorder),
                lambda: recorder.event("note", "hello"),
                recorder.flush,
            ):
                try:
                    call()
                except ValueError as error:
                    told.append(str(error))
            recorder.close()
            with sl.Recorder(other) as own:
                sim.run(**data, recorder=own)
            return told, sim.trials_done - before

        told, done = in_child(child)
        assert len(told) == 4 and all(text.startswith(sentence) for text in told) and done == 1
        sim.run(**data, recorder=recorder)
    with sl.open_recording(path) as rec, sl.open_recording(other) as own:
        assert (rec.status, rec.n_trials, len(rec.events)) == ("complete", 2, 0) and own.n_trials == 1


@fork
@compiled
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("members", [1, 2])
def test_a_forked_child_makes_its_own_threads(monkeypatch, members):
    """Batches whose trials are dealt to threads, and a trial whose neurons are shared."""
    if members > 1:
        monkeypatch.setattr(partition, "NEURONS", 3)
        monkeypatch.setattr(partition, "ALIGNED", 1)
        monkeypatch.setattr(partition, "SYNAPSES", 1)
    sim, data = simulator(draw(kind="alif", T=25, n_ref=2), sl.EProp(), sl.Adam(1e-3), threads=2)
    batch = data if members > 1 else {key: np.stack([value] * 4) for key, value in data.items()}
    sim.run(**batch)  # the threads exist now
    assert members == 1 or max(len(space.shards or ()) for space in sim._engine.workspaces.values()) == 2

    def more():
        return [sim.run(**batch).loss, sim.run(**batch).loss, *naive.plain(sim.weights).values()]

    got = in_child(more)
    for a, b in zip(got, more(), strict=True):
        assert_array_equal(a, b)
