"""Event data in steps: binning, cache, batches, the task, its training, resuming and command."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from event_files import SILENT, sweeps, write_nmnist, write_shd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from training_case import interrupted, same_weights

import snnlearn as sl
from snnlearn import datasets
from snnlearn.cli import main
from snnlearn.datasets import Binned
from snnlearn.datasets.cache import Cache
from snnlearn.experiments.recipes import RECIPES, SUITE
from snnlearn.tasks import Classification, Task
from snnlearn.tasks.classification import moved

TASKS = ", ".join((*RECIPES, *SUITE))

SAMPLES = [([0.0005, 0.25, 0.25, 0.3], [699, 0, 4, 340]), SILENT, ([0.125], [5])]
TIMES = [0.5, 250.0, 250.0, 300.048828125]  # ms; 0.3 s in half precision


@pytest.fixture
def shd(tmp_path):
    return datasets.SHD(write_shd(tmp_path / "shd.h5", SAMPLES, [2, 0, 1], ["null", "eins", "zwei"]))


@pytest.fixture
def words(tmp_path):
    return datasets.SHD(sweeps(tmp_path / "words.h5", 30, 1))


# ---- binning


def test_steps_and_channels(shd):
    binned = Binned(shd, 10.0, downsample=5)
    assert (len(binned), binned.n_channels, binned.n_steps) == (3, 140, 31)
    x, label = binned[0]
    assert (x.n_steps, label) == (31, 2)
    assert_array_equal(x.step, [0, 25, 25, 30])
    assert_array_equal(x.channel, [139, 0, 0, 68])
    assert x.toarray(140)[25, 0] == 2
    assert Binned(shd, 10.0, downsample=5, binary=True)[0][0].toarray(140)[25, 0] == 1
    assert (binned[1][0].n_steps, len(binned[1][0])) == (1, 0)
    assert_array_equal(Binned(shd, 10.0, 26)[0][0].step, [0, 25, 25])


def test_times_that_are_whole_steps_but_for_rounding(tmp_path):
    t = np.arange(100) / 1000
    data = datasets.SHD(write_shd(tmp_path / "a.h5", [(t, np.zeros(100))], [0], time=np.float64))
    assert_array_equal(Binned(data, 1.0)[0][0].step, np.arange(100))


@given(
    st.lists(st.tuples(*(st.integers(0, n) for n in (6, 4, 1, 30_000))), max_size=20),
    st.integers(1, 4),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_binning_is_its_definition(events, fx, fy, polarity, binary):
    events = sorted(events, key=lambda e: e[3])
    structured = np.array([tuple(e) for e in events], [("x", int), ("y", int), ("p", int), ("t", int)])
    binned = Binned(datasets.Wrapped([(structured, 0)], (7, 5, 2)), 4.0, downsample=(fx, fy), polarity=polarity, binary=binary)
    width, height = -(-7 // fx), -(-5 // fy)
    assert binned.n_channels == width * height * (2 if polarity else 1)
    raster = np.zeros((binned.n_steps, height, width, 2))
    for x, y, p, t in events:
        raster[t // 4000, y // fy, x // fx, p if polarity else 0] += 1
    expected = raster.transpose(0, 3, 1, 2).reshape(binned.n_steps, -1)[:, : binned.n_channels]
    assert_array_equal(binned[0][0].toarray(binned.n_channels), np.minimum(expected, 1) if binary else expected)


def test_batches_are_padded_masked_and_shuffled(words):
    binned = Binned(words, 5.0, downsample=50)
    seen = list(binned.batches(8, seed=3, epoch=2))
    assert [b.target.size for b in seen] == [8, 8, 8, 6]
    assert_array_equal(np.concatenate([b.number for b in seen]), binned.order(3, 2))
    assert not np.array_equal(binned.order(3, 2), binned.order(3, 1))
    assert_array_equal(np.sort(binned.order(3, 2)), np.arange(30))
    for batch in seen:
        own = [binned[int(i)][0] for i in batch.number]
        longest = max(x.n_steps for x in own)
        assert batch.mask.shape == (batch.target.size, longest) and {x.n_steps for x in batch.x} == {longest}
        for x, mask, single, number in zip(batch.x, batch.mask, own, batch.number, strict=True):
            assert_array_equal(x.step, single.step)
            assert_allclose(mask, np.where(np.arange(longest) < single.n_steps, 1 / single.n_steps, 0))
            assert binned.targets[number] == words[int(number)].label
    plain = list(binned.batches(8, shuffle=False, drop_last=True))
    assert np.concatenate([b.number for b in plain]).tolist() == list(range(24))


# ---- cache


def test_cache_holds_what_binning_gives(words, tmp_path):
    plain, cached = Binned(words, 5.0, downsample=50), Binned(words, 5.0, downsample=50, cache=tmp_path / "new" / "cache")
    assert cached.n_steps == plain.n_steps
    for (a, label), (b, other) in zip(plain, cached, strict=True):
        assert_array_equal(a.step, b.step)
        assert_array_equal(a.channel, b.channel)
        assert (a.n_steps, label) == (b.n_steps, other)
    assert [f.suffix for f in (tmp_path / "new" / "cache").iterdir()] == [".h5"]
    assert_array_equal(pickle.loads(pickle.dumps(cached))[3][0].step, plain[3][0].step)
    assert_array_equal(Binned(words, 5.0, 3, downsample=50, cache=tmp_path / "new" / "cache")[0][0].step.max(), 2)


def test_cache_is_written_anew_where_it_must(words, tmp_path, monkeypatch):
    written, write = [], Cache._write
    monkeypatch.setattr(Cache, "_write", lambda self, events: written.append(self.path) or write(self, events))

    def steps(data=words, dt=5.0, **options):
        x = Binned(data, dt, cache=tmp_path / "cache", **options)[0][0]
        return x.step.tolist()

    first = steps()
    assert steps() == first and steps(n_steps=4) == [s for s in first if s < 4] and len(written) == 1
    steps(dt=2.0), steps(downsample=5), steps(binary=True)
    assert len(set(written)) == 4
    sweeps(tmp_path / "other.h5", 30, 2)
    words.path.unlink()
    (tmp_path / "other.h5").rename(words.path)
    assert steps(datasets.SHD(words.path)) != first and written[4] == written[0]
    for spoil in (lambda p: p.write_bytes(p.read_bytes()[:300]), lambda p: p.write_bytes(b""), lambda p: p.unlink()):
        new = steps(datasets.SHD(words.path))
        spoil(written[0])
        assert steps(datasets.SHD(words.path)) == new
    assert len(written) == 8


def sums(path, cache):
    return [int(x.step.sum()) for x, _ in Binned(datasets.SHD(path), 5.0, downsample=50, cache=cache)]


def test_two_processes_may_write_a_cache_at_once(words, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(sums, [words.path] * 2, [tmp_path / "cache"] * 2))
    assert made == [[int(x.step.sum()) for x, _ in Binned(words, 5.0, downsample=50)]] * 2
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_writer_that_fails_leaves_nothing(words, tmp_path, monkeypatch):
    monkeypatch.setattr(type(words), "_read", lambda self, index: 1 / (20 - index) and SAMPLES)
    with pytest.raises((ZeroDivisionError, AttributeError)):
        Binned(words, 5.0, cache=tmp_path / "cache")[0]
    assert list((tmp_path / "cache").iterdir()) == []


def test_wrapped_data_are_cached_under_a_key(tmp_path):
    pairs = [(np.array([(7, 2)], [("t", int), ("x", int)]), 0)]
    with pytest.raises(ValueError, match=r"Binned.cache must be None where the data do not lie in files .*Wrapped\(key=...\)"):
        Binned(datasets.Wrapped(pairs, (4, 1, 1)), 1.0, cache=tmp_path)
    assert Binned(datasets.Wrapped(pairs, (4, 1, 1), unit=1.0, key="mine 1"), 1.0, cache=tmp_path)[0][0].step == 7


# ---- task


def test_task_shows_every_sample_once_an_epoch(words):
    task = Classification(words, test=words, dt=5.0, downsample=50, padded=True, seed=2)
    assert (task.n_inputs, task.n_outputs, task.labels) == (14, 3, ("low", "middle", "high"))
    assert (task.n_trials("train"), task.n_trials("test"), task.n_samples()) == (None, 30, 30)
    epochs = [[task.sample_index(i) for i in range(30 * e, 30 * e + 30)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(30)) and epochs[0] != epochs[1]
    for i in (31, 4, 10**9):
        x, target, mask = task.trial(i)
        sample = words[task.sample_index(i)]
        assert target == sample.label and x.n_steps == mask.size == task.n_steps
        assert_allclose(mask.sum(), 1)
        assert_array_equal(x.step, (sample.t / 5.0 + 1e-6).astype(int))
        assert np.flatnonzero(mask)[-1] == x.step[-1]
    assert [t.target for t in task.trials(split="test")] == words.targets.tolist()


def test_a_trial_lasts_as_long_as_its_sample(words):
    own, padded = (Classification(words, test=words, dt=5.0, downsample=50, padded=p) for p in (False, True))
    for i in range(30):
        short, long = own.trial(i), padded.trial(i)
        n = short.x.n_steps
        assert n == short.x.step[-1] + 1 <= long.x.n_steps == own.n_steps
        assert_array_equal(short.mask, long.mask[:n])
        assert not long.mask[n:].any()
        assert_array_equal(short.x.channel, long.x.channel)
    assert min(own.trial(i).x.n_steps for i in range(30)) < own.n_steps

    def trained(task, **options):
        net = sl.Network(task.n_inputs, sl.LIF(10, threshold=0.5), task.n_outputs, dt=5.0)
        sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-2), loss=sl.CrossEntropy(), **options)
        return sim.train(task, trials=16, batch=4)

    assert trained(own).loss == trained(padded).loss  # what follows the last event has no error
    assert trained(own).rate != trained(padded).rate
    regularized = [trained(task, regularizer=sl.RateRegularizer(20.0, 10.0)).loss for task in (own, padded)]
    assert regularized[0][-1] != regularized[1][-1]


def test_a_description_that_does_not_say_so_is_of_padded_trials(words):
    values = Classification(words, dt=5.0).to_dict()
    assert values.pop("padded") is False
    assert sl.tasks.Task.from_dict(values).padded
    assert Classification(words, dt=5.0, padded=True).matches(values)
    assert not Classification(words, dt=5.0).matches(values)
    with pytest.raises(TypeError, match=r"Classification\.padded must be True or False"):
        Classification(words, padded="yes")


def test_task_comes_back_from_its_description(words, tmp_path):
    for task in (
        Classification(words, dt=5.0, downsample=50, holdout=0.3, seed=2, cache=tmp_path / "cache"),
        Classification(datasets.split(words, 0.5, 1)[0], test=words, dt=5.0, polarity=False, n_steps=20),
    ):
        values = json.loads(json.dumps(task.to_dict()))
        again = Task.from_dict(values)
        assert again == task and again.matches(values) and pickle.loads(pickle.dumps(task)) == task
        for split in ("train", "test"):
            a, b = (t.trial(3, split) for t in (task, again))
            assert_array_equal(a.x.channel, b.x.channel)
            assert a.target == b.target
    train, test = (set(part.data.indices.tolist()) for part in Classification(words, dt=5.0)._splits.values())
    assert not train & test and len(train | test) == 30


def test_nmnist_is_a_task(tmp_path):
    write_nmnist(tmp_path)
    task = Classification(datasets.NMNIST(tmp_path), dt=10.0, downsample=2, n_steps=20)
    assert (task.n_inputs, task.n_outputs, task.n_trials("test")) == (578, 10, 10)
    x, target, _ = task.trial(0, "test")
    assert (x.n_steps, target) == (20, 0) and x.channel.max() < 578
    assert Task.from_dict(task.to_dict()) == task


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"train": 3}, "Classification.train must be a data set such as sl.datasets.SHD(path) (got 3)"),
        ({"test": "x.h5"}, "Classification.test must be a data set such as sl.datasets.SHD(path) (got 'x.h5')"),
        ({"holdout": 0.0}, "Classification.holdout must be a fraction above 0 and below 1 (got 0.0)"),
        ({"downsample": 0}, "Classification.downsample must be a whole number >= 1 or a pair (fx, fy) of them (got 0)"),
        ({"n_steps": 0}, "Classification.n_steps must be a whole number >= 1"),
        ({"dt": 0.0}, "Classification.dt must be a positive time in ms (got 0.0)"),
        ({"binary": 2}, "Binned.binary must be True or False (got 2)"),
    ],
)
def test_bad_parameters_are_named(params, message, words):
    with pytest.raises((TypeError, ValueError)) as error:
        Classification(**{"train": words} | params)
    assert str(error.value).startswith(message)


def test_splits_must_be_alike(words, tmp_path):
    other = datasets.SHD(sweeps(tmp_path / "other.h5", 9, 1, keys=("low", "high", "middle")))
    with pytest.raises(ValueError, match=r"Classification.test, SHD\('.*other.h5'\) must have the classes of SHD"):
        Classification(words, test=other)
    write_nmnist(tmp_path / "n")
    with pytest.raises(ValueError, match=r"Classification.test, NMNIST\(.*\) must have the sensor \(700, 1, 1\) of SHD"):
        Classification(words, test=datasets.NMNIST(tmp_path / "n"))


# ---- learning

PLAN = {"trials": 24, "batch": 4, "evaluate_every": 3, "evaluate_trials": 4}


def simulator(task):
    net = sl.Network(task.n_inputs, sl.LIF(12, threshold=0.5), sl.Readout(task.n_outputs, tau=20.0), dt=task.dt)
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(2e-2), loss=sl.CrossEntropy(), seed=5)


def test_a_training_is_resumed_with_the_same_samples(words, tmp_path):
    task = Classification(words, dt=5.0, downsample=50, seed=2)
    whole = simulator(task)
    history = whole.train(task, **PLAN)
    interrupted(tmp_path / "run.h5", simulator(task), plan=PLAN, task=task)
    (tmp_path / "moved.h5").write_bytes((tmp_path / "run.h5").read_bytes())
    sim = sl.resume(tmp_path / "run.h5")
    again = sim.train()
    assert again.loss == history.loss and same_weights(sim, whole)

    values, place = task.to_dict(), words.path.rename(tmp_path / "elsewhere.h5")
    with pytest.raises(FileNotFoundError, match=r"words.h5' must be where it was .* resume\(..., task=...\)"):
        sl.resume(tmp_path / "moved.h5")
    with pytest.raises(ValueError, match="get no task, because the file holds it"):
        sl.resume(tmp_path / "moved.h5", task=Classification(datasets.SHD(place), dt=5.0, downsample=50, seed=3))
    sim = sl.resume(tmp_path / "moved.h5", task=Classification(datasets.SHD(place), dt=5.0, downsample=50, seed=2))
    sim.recorder.close("interrupted")
    assert main(["resume", str(tmp_path / "moved.h5"), "--data", str(place), "--quiet"]) == 0
    sim = sl.resume(tmp_path / "moved.h5")  # has ended and needs no data
    assert sim._training.history.loss == history.loss and same_weights(sim, whole)
    with pytest.raises(ValueError, match=r"changed.h5' must be unchanged since the run began"):
        Task.from_dict(moved(values, train=sweeps(tmp_path / "changed.h5", 30, 9)))
    with pytest.raises(ValueError, match=r"task 'classification' must have test data in files to take them from \(got 'x.h5'\)"):
        moved(values, test="x.h5")


def test_what_a_file_cannot_hold_is_given_again(words, tmp_path):
    class Mine:
        sensor_size = words.sensor

        def __len__(self):
            return len(words)

        def __getitem__(self, i):
            s = words[i]
            return np.array(list(zip(s.t.tolist(), s.x.tolist(), strict=True)), [("t", float), ("x", int)]), s.label

    task = Classification(datasets.Wrapped(Mine(), unit=1.0), dt=5.0, downsample=50, seed=2)
    whole = simulator(task)
    whole.train(task, **PLAN)
    twin = simulator(task)
    twin.train(Classification(words, dt=5.0, downsample=50, seed=2), **PLAN)
    assert same_weights(whole, twin)
    interrupted(tmp_path / "run.h5", simulator(task), plan=PLAN, task=task)
    with pytest.raises(ValueError, match=r"must get the task, which a file cannot hold \(got '.*Mine'\); pass task=..."):
        sl.resume(tmp_path / "run.h5")
    sim = sl.resume(tmp_path / "run.h5", task=task)
    sim.train()
    assert same_weights(sim, whole)


def test_padded_batches_run(words):
    task = Classification(words, dt=5.0, downsample=50)
    sim = simulator(task)
    for batch in Binned(words, 5.0, downsample=50).batches(15):
        assert np.isfinite(sim.run(batch.x, batch.target, batch.mask, steps=batch.steps).loss)
    assert sim.updates_done == 2


# ---- the command


def test_train_data_learns(tmp_path):
    train, test, run = sweeps(tmp_path / "shd_train.h5", 60, 1), sweeps(tmp_path / "shd_test.h5", 30, 2), tmp_path / "run.h5"
    small = ["--neurons", 30, "--iterations", 25, "--batch", 12, "--dt", 5, "--lr", 0.02, "--quiet"]
    data = ["--data", "shd", train, "--test", test, "--cache", tmp_path / "cache"]
    words = [sys.executable, "-m", "snnlearn", "train", *data, "--out", run, *small]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "classification: 140 inputs, 15 LIF + 15 ALIF, 3 outputs, 12 steps a trial"
    with sl.open_recording(run) as rec:
        assert rec.table("evaluations").score[-1] >= 0.9
        assert str(tmp_path) not in rec.config["command"] and "--data shd PATH --test PATH" in rec.config["command"]
        assert rec.config["task"]["train"]["path"] == str(train.resolve())
    assert len(list((tmp_path / "cache").iterdir())) == 2


TINY = ["--neurons", "6", "--iterations", "3", "--batch", "4", "--dt", "5", "--downsample", "50", "--quiet"]


def run_command(*words):
    assert main([str(word) for word in words]) == 0


def recorded(path):
    """What a run left: its table of updates and its digest."""
    with sl.open_recording(path) as rec:
        return rec.table("updates").loss.tolist(), rec.config["digest"]


def test_init_writes_what_train_data_runs(tmp_path, capsys):
    train, test, toml = sweeps(tmp_path / "train.h5", 24, 1), sweeps(tmp_path / "test.h5", 9, 2), tmp_path / "run.toml"
    data = ["--data", "shd", train, "--test", test, "--seed", 4]
    run_command("train", *data, *TINY, "--out", tmp_path / "a.h5")
    run_command("init", *data, *[word for word in TINY if word != "--quiet"], "--out", toml)
    text = toml.read_text()
    assert "# format and path of the data, relative to this file" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("train = ", "test = "))) < 160
    run_command("train", toml, "--quiet", "--out", tmp_path / "b.h5")
    losses, digest = recorded(tmp_path / "a.h5")
    assert len(losses) == 3 and recorded(tmp_path / "b.h5") == (losses, digest)
    (tmp_path / "sub").mkdir()
    kept = [line for line in text.splitlines() if not line.startswith(("train = ", "test = ", "n_steps = "))]
    table = kept.index('name = "classification"') + 1
    relative = ['train = {format = "shd", path = "../train.h5"}', 'test = {format = "shd", path = "../test.h5"}']
    (tmp_path / "sub" / "run.toml").write_text("\n".join([*kept[:table], *relative, 'cache = "binned"', *kept[table:]]))
    config = sl.load_config(tmp_path / "sub" / "run.toml")  # from another folder, without a digest or a length
    assert config.digest == digest and config.task.cache == str(tmp_path / "sub" / "binned")


@pytest.mark.parametrize("signed", [True, False], ids=["command", "program"])
@pytest.mark.parametrize("tested", [True, False], ids=["test", "holdout"])
def test_like_repeats_a_run_on_data(signed, tested, tmp_path, capsys):
    train, test = sweeps(tmp_path / "train.h5", 24, 1), sweeps(tmp_path / "test.h5", 9, 2)
    if signed:
        run_command("train", "--data", "shd", train, *(["--test", test] if tested else []), *TINY, "--out", tmp_path / "a.h5")
    else:
        task = Classification(datasets.SHD(train), test=datasets.SHD(test) if tested else None, dt=5.0, downsample=50)
        with sl.Recorder(tmp_path / "a.h5") as recorder:
            simulator(task).train(task, 12, 4, recorder)
    like = ["train", "--like", tmp_path / "a.h5", "--quiet"]
    run_command(*like, "--out", tmp_path / "b.h5")
    with sl.open_recording(tmp_path / "a.h5") as a, sl.open_recording(tmp_path / "b.h5") as b:
        assert_array_equal(a.table("updates").loss, b.table("updates").loss)
    (tmp_path / "new").mkdir()
    places = [file.rename(tmp_path / "new" / file.name) for file in (train, test)]
    assert main([str(word) for word in like]) == 1
    error = capsys.readouterr().err
    assert "train.h5' must be where it was (got 'nothing at this path'); where it has moved, say where it is: --data" in error
    assert "Traceback" not in error and len(error.splitlines()) == 1
    there = ["--data", "shd", places[0], *(["--test", places[1]] if tested else [])]
    run_command(*like, *there, "--out", tmp_path / "c.h5")
    with sl.open_recording(tmp_path / "c.h5") as c:
        assert "--data shd PATH" in c.config["command"] and c.config["task"]["train"]["path"] == str(places[0])
    assert recorded(tmp_path / "c.h5") == recorded(tmp_path / "b.h5")  # the same run, wherever its data lie
    moved_to = {"train": places[0], "test": places[1] if tested else None}
    assert sl.Config.of_recording(tmp_path / "a.h5", moved_to).digest == recorded(tmp_path / "c.h5")[1]
    other = sweeps(tmp_path / "other.h5", 24, 7)
    refused = [
        (["--data", "shd", other, *there[3:]], "other.h5' must be unchanged since the run began"),
        (["--data", "ssc", places[0], *there[3:]], "--data must have the format shd of the configuration (got 'ssc')"),
        (["--data", "shd", places[0], "--dt", "2"], "--dt must come with a TASK (got 2.0); --set task.dt=... changes"),
    ]
    if not tested:
        refused.append((["--test", other], "task 'classification' must have test data in files to take them from"))
    for words, sentence in refused:
        assert main([str(word) for word in (*like, *words)]) == 1
        assert sentence in capsys.readouterr().err


def test_a_configuration_of_moved_data_names_its_line(tmp_path, capsys):
    train, toml = sweeps(tmp_path / "train.h5", 24, 1), tmp_path / "run.toml"
    run_command("init", "--data", "shd", train, "--downsample", "50", "--out", toml)
    place = train.rename(tmp_path / "elsewhere.h5")
    with pytest.raises(FileNotFoundError, match=r"run.toml, line \d+, task: data set '.*train.h5' must be where it was"):
        sl.load_config(toml)
    assert sl.load_config(toml, moved={"train": place}).task.train == datasets.SHD(place)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["init"], f"init must name a TASK ({TASKS}) or --data FORMAT PATH (got None)"),
        (["init", "--data", "shd", "x.h5"], "SHD('x.h5') must be a file (got 'nothing at this path')"),
        (
            ["train"],
            "train must get one of TASK, a configuration FILE.toml, --like RECORDING and --data FORMAT PATH (got None)",
        ),
        (
            ["train", "digits", "--data", "shd", "x.h5"],
            "--data FORMAT PATH (got 'digits and shd x.h5')",
        ),
        (["train", "digits", "--test", "x.h5"], "--test must come with --data (got 'x.h5')"),
        (["train", "digits", "--dt", "2"], "--dt must come with --data (got 2.0)"),
        (["train", "--data", "mnist", "x"], "data format must be one of 'nmnist', 'shd', 'ssc' (got 'mnist')"),
        (["train", "--data", "shd", "x.h5"], "SHD('x.h5') must be a file (got 'nothing at this path')"),
    ],
)
def test_errors_are_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 1
    assert capsys.readouterr().err.strip().endswith(sentence)
