"""What goes wrong is told once, with a remedy, and stands in the recording; a run that is well hears nothing."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from kills import BATCH, LIF, TASK, contents, differing

import snnlearn as sl
from snnlearn.losses import ENTROPY, SIGNAL, SQUARED
from snnlearn.simulator import guards
from snnlearn.simulator.inputs import make_job

NET = sl.Network(TASK.n_inputs, LIF, sl.Readout(2, tau=5.0), delay=2.0)
ADAPTIVE = sl.EProp(feedback="adaptive", seed=2)
ADAM = sl.Adam(5e-3)


def simulator(weights=None, optimizer=ADAM, net=NET):
    return sl.Simulator(net, weights, ADAPTIVE, optimizer, sl.CrossEntropy(), seed=5, threads=1)


def kinds(sim, batches, recorder=None, batch=BATCH, task=TASK):
    """The warnings of a training, by the kind that the guards remember."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sim.train(task, batches * batch, batch, recorder)
    assert all(issubclass(w.category, sl.RunWarning) for w in caught)
    return [str(w.message) for w in caught]


def test_a_run_that_is_well_hears_nothing(tmp_path):
    sim = simulator()
    assert kinds(sim, 70) == []
    assert sim._guards["told"] == [] and sim._guards["runs"] == 70


def test_a_rule_without_an_optimizer(tmp_path):
    net = sl.Network(3, sl.LIF(4, threshold=0.1), 1)
    text = r"Simulator: it has a rule and no optimizer, so it runs and nothing is learnt; give one, as optimizer=sl.Adam"
    with pytest.warns(sl.RunWarning, match=text) as told:
        sim = sl.Simulator(net, rule=sl.EProp())
    assert len(told) == 1 and told[0].filename == __file__
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        sim.run(np.ones((9, 3)), np.zeros((9, 1)), recorder=recorder)
    with sl.open_recording(tmp_path / "run.h5") as rec:
        assert [event.kind for event in rec.events] == ["no optimizer"]
    assert sl.plan(net, sl.EProp(), seconds=0.0).reason == sl.plan(net, sl.EProp(), sl.SGD(0.1), seconds=0.0).reason


def test_a_learning_rate_that_is_too_high(tmp_path):
    sim = simulator(optimizer=sl.Adam(50.0))
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        told = kinds(sim, 40, recorder)
    assert sum("the norm of the weights has grown" in text for text in told) == 1
    assert sum("the mean loss of 10 runs has risen" in text for text in told) <= 1
    assert all("lower the learning rate" in text for text in told)
    with sl.open_recording(tmp_path / "run.h5") as recording:
        events = [(event.kind, event.message) for event in recording.events if event.kind != "configuration"]
        assert "weights blow up" in repr(recording)
    assert [message for _, message in events] == told
    from snnlearn.recording import describe

    assert "weights blow up: Simulator: the norm of the weights has grown" in describe(tmp_path / "run.h5")


def test_a_loss_that_rises_by_orders():
    state, said = guards.fresh(), []
    for loss in [*np.linspace(2.0, 1.0, 30), *np.linspace(1.0, 40.0, 60)]:
        said.append(guards._loss(state, float(loss)))
    first = next(k for k, x in enumerate(said) if x)
    assert 30 < first < 60 and said[first][0] == "loss rises"
    assert not any(guards._loss(guards.fresh(), float(x)) for x in np.linspace(1.0, 100.0, 9))
    assert guards._loss(guards.fresh(), float("nan"))[0] == "not finite"
    noisy = guards.fresh()
    small = np.random.default_rng(0).exponential(1.0, 500) * np.geomspace(1.0, 1e-6, 500)
    assert not any([guards._loss(noisy, float(x)) for x in [*small, *(1e3 * small[-50:])]])  # has learnt, and is bad for a while


def test_a_saturated_network():
    weights = NET.init_weights(1)
    strong = weights._replace(w_in=np.abs(weights.w_in) * 50, w_rec=np.abs(weights.w_rec) * 50)
    told = kinds(simulator(strong, sl.SGD(0.0)), 60, batch=BATCH)
    assert len(told) == 1
    assert "% of the neurons fire as often as their refractory period allows" in told[0] and "RateRegularizer" in told[0]


def test_weights_that_do_not_change_and_a_dead_readout():
    weights = NET.init_weights(1)
    silent = weights._replace(w_out=np.zeros_like(weights.w_out))
    frozen = sl.Network(TASK.n_inputs, LIF, sl.Readout(2, tau=5.0), delay=2.0, frozen=("w_out",))
    sim = sl.Simulator(frozen, silent, sl.EProp(), sl.SGD(0.1), sl.CrossEntropy(), threads=1)
    told = kinds(sim, 60)
    assert any("w_in and w_rec did not change in the last 32 runs" in text for text in told)
    assert any("outputs 0, 1 were exactly zero" in text for text in told)
    assert len(told) <= 3


LONG = sl.tasks.EvidenceAccumulation(n_cues=3, cue_spacing=50.0, cue_duration=100.0, delay=50.0, window=50.0, n_per_group=3)
TALL = sl.LIF(30, tau_m=20.0, threshold=0.6, refractory=2.0, surrogate=sl.ArcTan(gamma=1.0))


def wild(n_inputs, gain):
    """A network whose surrogate is so tall and wide that, with gain 2, every recurrent path amplifies."""
    net = sl.Network(n_inputs, TALL, sl.Readout(2, tau=20.0))
    return net, net.init_weights(1, {"w_in": 3.0, "w_rec": gain})


def events(path):
    with sl.open_recording(path) as recording:
        return [(e.kind, e.message) for e in recording.events if e.kind != "configuration"]


def test_a_gradient_that_explodes(tmp_path):
    """Backpropagation through strong recurrent weights; e-prop, which does not follow them, is well on the same run."""
    told = {}
    net, weights = wild(LONG.n_inputs, 2.0)
    for rule in (sl.BPTT(), sl.EProp()):
        sim = sl.Simulator(net, weights, rule, sl.Adam(1e-5), sl.CrossEntropy(), dtype="float64", threads=1)
        with sl.Recorder(tmp_path / f"{type(rule).__name__}.h5") as recorder:
            told[type(rule)] = kinds(sim, 4, recorder, 5, LONG)
        gradient = sl.gradient(net, weights, *LONG.trial(0)[:2], rule, sl.CrossEntropy(), mask=LONG.trial(0).mask)
        assert (np.abs(gradient.w_rec).max() > 1e6) == isinstance(rule, sl.BPTT)
    (text,) = told[sl.BPTT]
    assert "the gradient has the norm" in text and "set clip_norm" in text and told[sl.EProp] == []
    assert events(tmp_path / "BPTT.h5") == [("exploding gradient", text)]


def pieces(n, taught=1, steps=500):
    """Noise in, waves out, of which each so many-th step is taught."""
    rng = np.random.default_rng(1)
    for k in range(n):
        t = np.arange(k * steps, (k + 1) * steps)
        yield (rng.random((steps, 5)) < 0.05) * 1.0, np.stack([np.sin(t / 30), np.cos(t / 50)], axis=1), (t % taught == 0) * 1.0


def stream(rule, every, gain=2.0, recorder=None, loop=False, taught=1, optimizer=sl.Adam(1e-6), n=3):  # noqa: B008
    """The kinds of what is told of a stream, once each."""
    sim = sl.Simulator(*wild(5, gain), rule, optimizer, update_every=every, threads=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if not loop:
            sim.run(pieces(n, taught), recorder=recorder)
        for x, y, mask in pieces(n, taught) if loop else ():
            for t in range(len(x)):
                sim.step(x[t], y[t], mask=float(mask[t]))
    told = sim._guards["told"]
    assert [w.category for w in caught] == [sl.RunWarning] * len(told)
    return set(told)


@pytest.mark.parametrize("every", [1, 100, 500])
def test_gradients_and_traces_that_explode_within_a_stream(tmp_path, every):
    """Influence along all paths grows by orders, piece by piece; e-prop on the same stream, and weaker weights, are well."""
    both = {"exploding traces", "exploding gradient"}
    with sl.Recorder(tmp_path / "run.h5") as recorder:
        assert stream(sl.SnAp(2), every, recorder=recorder) == both
    told = events(tmp_path / "run.h5")
    assert {kind for kind, _ in told} == both and len(told) == 2
    assert all("as EProp" in message for _, message in told)
    assert stream(sl.SnAp(2), every, gain=0.5) == set()
    assert stream(sl.EProp(), every) == set()


def test_explosions_in_a_closed_loop():
    assert stream(sl.SnAp(2), 1, loop=True, n=2) == {"exploding traces", "exploding gradient"}
    assert stream(sl.SnAp(2), 1, 0.5, loop=True, n=2) == stream(sl.EProp(), 1, loop=True, n=2) == set()


def test_gradients_within_a_stream_are_measured_where_there_is_an_error():
    """A step in a thousand is taught, another one than that at which the measuring is due; clipping measures always."""
    told = stream(sl.SnAp(2), 1, taught=999)
    assert told == {"exploding traces", "exploding gradient"}
    clipped = sl.Adam(1e-6, clip_norm=1.0)
    assert stream(sl.SnAp(2), 100, optimizer=clipped, n=2) == {"exploding traces", "exploding gradient"}
    assert stream(sl.SnAp(2), 100, 0.5, optimizer=clipped, n=2) == set()


def test_the_norm_that_an_update_measures_is_that_of_its_gradient():
    """A piece that is an interval: SGD's step is the gradient."""
    for optimizer in (sl.SGD(1e-3), sl.SGD(1e-3, clip_norm=1e9)):
        net, weights = wild(5, 0.5)
        sim = sl.Simulator(net, weights, sl.EProp(), optimizer, update_every=1000, dtype="float64", threads=1)
        ((x, y, mask),) = pieces(1, steps=1000)
        sim._engine.stream(make_job(sim, x, y, mask, None, None, None), 0)
        step = [np.subtract(new, old) / 1e-3 for new, old in zip(sim.weights, sim.net.check_weights(weights), strict=True)]
        wanted = np.sqrt(sum((part**2).sum() for part in step))
        assert wanted > 1 and sim._engine.largest_norm() == pytest.approx(wanted, rel=1e-9)
        assert sim._engine.largest_norm() is None


def gradients(norms, losses, nmse=np.nan, kind=ENTROPY, neurons=100):
    """What is told of these norms, one a run."""
    state, job = guards.fresh(), SimpleNamespace(targets=SimpleNamespace(kind=kind), n_steps=1)
    state |= {"first_norm": 10.0, "scale": 0.0}
    weighed = guards.Weighing((), np.ones(4, bool), 1)
    return [
        guards._gradient(
            state, job, SimpleNamespace(loss=loss, regularization=0.0, nmse=n), weighed._replace(gradient=norm), neurons
        )
        for norm, loss, n in zip(norms, losses, np.broadcast_to(nmse, len(losses)), strict=True)
    ]


def test_gradients_are_judged_by_the_loss():
    found = gradients([5.0, None, 50.0, 3e4, np.inf], [0.7, 0.7, 0.7, 0.7, 0.7])
    assert [x and x[0] for x in found] == [None, None, None, "exploding gradient", "not finite"]
    assert gradients([3e4], [0.7], neurons=10_000) == [None]  # both norms grow with the network
    learns = np.geomspace(1e2, 1e-8, 20)  # with an error that falls, gradients fall as its square root
    assert not any(gradients(np.sqrt(learns) * 100, learns, learns / 1e2, SQUARED))
    assert not any(gradients(np.sqrt(learns[::-1]) * 100, learns[::-1], learns[::-1] / 1e2, SQUARED))  # a network that knew
    assert not any(gradients([1e9], [1.0], kind=SIGNAL))


QUIET = sl.Network(TASK.n_inputs, sl.LIF(8), sl.Readout(2, tau=5.0))  # without noise


def closed_loop(steps, weights=None, x=1.0, optimizer=ADAM, net=NET):
    """The warnings of a closed loop, with the step at which each came."""
    sim, told = simulator(weights, optimizer, net), []
    for t in range(steps):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sim.step(np.full(TASK.n_inputs, x), 0)
        told += [(t + 1, w.category, str(w.message)) for w in caught]
        assert all(w.filename == __file__ for w in caught)
    return sim, told


def test_a_closed_loop_is_looked_at_now_and_then(tmp_path):
    sim, told = closed_loop(3 * guards.STEPS)
    assert told == [] and sim._guards["steps"] == 0 and sim._guards["runs"] == 3
    sim, told = closed_loop(2 * guards.STEPS + 1, x=0.0, net=QUIET)
    assert [(t, kind) for t, kind, _ in told] == [(guards.STEPS, sl.SilentNetworkWarning)]
    assert "no neuron spiked in the last 1000 steps" in told[0][2]
    with sl.Recorder(tmp_path / "run.h5") as recorder:  # the next recording tells it
        sim.train(TASK, BATCH, BATCH, recorder)
    with sl.open_recording(tmp_path / "run.h5") as recording:
        assert "silent network" in [event.kind for event in recording.events]
    weights = NET.init_weights(1)
    strong = weights._replace(w_in=np.abs(weights.w_in) * 1e3, w_rec=np.abs(weights.w_rec) * 1e3)
    _, told = closed_loop(guards.STEPS, strong, optimizer=sl.SGD(0.0))
    assert ["nearly all neurons fire as often as their refractory period allows" in text for _, _, text in told] == [True]
    _, told = closed_loop(2 * guards.STEPS, optimizer=sl.Adam(1e3))
    assert [t for t, _, text in told if "the norm of the weights has grown" in text] == [2 * guards.STEPS]


def test_norms_of_gradients_are_taken_now_and_then(monkeypatch):
    from snnlearn.engine.engine import Engine

    taken, norms = [], Engine._norms
    monkeypatch.setattr(Engine, "_norms", lambda *arguments: taken.append(0) or norms(*arguments))
    sim, told = closed_loop(50)  # an update a step
    assert told == [] and sim.updates_done == 50 and len(taken) == 1
    taken.clear()
    kinds(simulator(), 40)
    assert len(taken) == len([1, 2, 4, 8, 16, 32])


def test_what_a_closed_loop_has_counted_goes_on_from_a_checkpoint(tmp_path):
    sim, told = closed_loop(guards.STEPS - 1, x=0.0, net=QUIET)
    assert told == []
    sim.save(tmp_path / "state.h5")
    with pytest.warns(sl.SilentNetworkWarning, match="in the last 1000 steps"):
        sl.resume(tmp_path / "state.h5").step(np.zeros(TASK.n_inputs), 0)


def test_one_class_only():
    weights = NET.init_weights(1)
    ahead = weights._replace(w_out=np.stack([np.ones(8), -np.ones(8)], axis=1))
    task = sl.tasks.EvidenceAccumulation(n_cues=1, cue_duration=10.0, cue_spacing=0.0, delay=0.0, window=10.0, n_per_group=3)
    net = sl.Network(task.n_inputs, LIF, sl.Readout(2, tau=5.0), delay=2.0)
    ahead = net.init_weights(1)._replace(w_out=ahead.w_out)
    told = kinds(simulator(ahead, sl.SGD(1e-9), net), 52, batch=10, task=task)
    assert [text for text in told if "were taken for class 0, though labels differ" in text]


def test_weights_that_are_not_finite():
    sim = simulator()
    weights = guards.Weighing(sim._engine.weights, np.ones(4, bool), 1)
    sim._guards["runs"] = 1
    assert guards.look_at_weights(sim._guards, weights, True) == []
    sim._engine.weights.w_out[0] = np.inf
    assert guards.look_at_weights(sim._guards, weights, True) == [("not finite", "w_out holds values that are not finite")]


def test_what_guards_remember_goes_on_from_a_checkpoint(tmp_path):
    """The warnings of a run that was interrupted are those of one that was not."""

    def run(path, stop):
        def callback(simulator, history):
            if len(history.loss) == stop:
                raise KeyboardInterrupt

        with sl.Recorder(path, checkpoint_every=1) as recorder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            simulator(optimizer=sl.Adam(50.0)).train(TASK, 20 * BATCH, BATCH, recorder, callbacks=[callback])

    for name, stop in (("whole", None), ("cut", 5)):
        run(tmp_path / f"{name}.h5", stop)
    resumed = sl.resume(tmp_path / "cut.h5")
    assert 0 < resumed._guards["runs"] <= 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resumed.train()
    whole = contents(tmp_path / "whole.h5", cut=False)
    assert len(whole["events/kind"]) >= 1
    assert not differing(whole, contents(tmp_path / "cut.h5", cut=False), prefix=False)


def test_a_first_loss_far_above_the_variance_of_the_targets_is_told(rng):
    net = sl.Network(3, sl.LIF(10, threshold=0.3), sl.Readout(1))
    x, varied = np.ones((2, 30, 3)), np.sin(np.arange(60)).reshape(2, 30, 1)

    def said(targets, **options):
        sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-9), **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                sim.run(x, targets)
        return [str(w.message) for w in caught if "times the variance of the targets" in str(w.message)]

    assert len(said(100 + 0.1 * varied)) == 1
    assert "Readout(normalize_input=True)" in said(100 + 0.1 * varied)[0]
    assert said(varied) == []
    assert said(np.full((2, 30, 1), 100.0)) == []  # without variance nothing is known
