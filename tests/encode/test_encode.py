"""Encoders: each by what can be read back from its currents or spikes, and their messages."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import snnlearn as sl
from snnlearn import encode

ALL = [
    encode.Current(2.0, 0.5, steps=3),
    encode.Window(4),
    encode.GaussianFields(6, -1.0, 1.0, steps=2),
    encode.Poisson(400.0, steps=5),
    encode.Latency(10),
    encode.Delta(0.3, steps=2),
    encode.Chain([encode.Window(2), encode.GaussianFields(5), encode.Poisson(100.0, steps=3)]),
]


@pytest.mark.parametrize("encoder", ALL, ids=lambda e: type(e).__name__)
def test_every_encoder_keeps_its_sizes_and_can_be_written(encoder, rng):
    x = rng.normal(size=(17, 3))
    found = encoder(x, 4)
    n_channels, n_steps = encoder.n_channels(3), 17 * encoder.steps
    assert isinstance(found, sl.Events) == encoder.spikes
    dense = found.toarray(n_channels) if encoder.spikes else found
    assert dense.shape == (n_steps, n_channels) and dense.any()
    again = encode.make(encoder.to_dict())
    assert again == encoder
    same = again(x, np.random.default_rng(4))
    assert_array_equal(same.toarray(n_channels) if encoder.spikes else same, dense)
    assert encode.make(encoder) is encoder


def test_current_scales_and_holds(rng):
    x = rng.normal(size=(5, 2))
    assert_allclose(encode.Current(2.0, 1.0, steps=3)(x)[1::3], 2 * x + 1)


def test_window_shows_the_past(rng):
    x = rng.normal(size=(9, 2))
    y = encode.Window(3)(x)
    for k in range(3):
        assert_array_equal(y[k:, 2 * k : 2 * k + 2], x[: 9 - k])
        assert not y[:k, 2 * k : 2 * k + 2].any()


def test_gaussian_fields_tell_the_value():
    encoder = encode.GaussianFields(7, -1.5, 1.5)
    x = np.linspace(-1.2, 1.2, 50)[:, None]
    y = encoder(x)
    assert_allclose(y @ encoder.centres / y.sum(axis=1), x[:, 0], atol=0.06)
    assert_allclose(encoder(encoder.centres[:, None]).diagonal(), 1.0)
    nearest = np.abs(x - encoder.centres).argmin(axis=1)
    assert_array_equal(y.argmax(axis=1), nearest)


def test_poisson_rates_follow_the_values():
    encoder = encode.Poisson(500.0, low=-1.0, high=1.0, steps=4000)
    counts = encoder([[-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]], 1).toarray(6).sum(axis=0)
    p = np.array([0, 0, 0.25, 0.375, 0.5, 0.5])
    assert (np.abs(counts - 4000 * p) <= 5 * np.sqrt(4000 * p * (1 - p))).all()
    first, again = encoder([[0.0]], 1), encoder([[0.0]], 2)
    assert not np.array_equal(first.step, again.step)


def test_latency_is_earlier_for_larger_values():
    found = encode.Latency(11)([[1.0, 0.5, 0.1, 0.0, -1.0, 2.0], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    assert sorted(zip(found.channel.tolist(), found.step.tolist(), strict=True)) == [(0, 0), (1, 5), (2, 9), (3, 11), (5, 0)]
    assert found.n_steps == 22


@pytest.mark.parametrize("threshold", [0.05, 0.4, 3.0])
def test_level_crossings_follow_the_series(threshold, rng):
    x = np.cumsum(rng.normal(scale=0.3, size=(200, 3)), axis=0)
    counts = encode.Delta(threshold)(x).toarray(6)
    followed = x[0] + threshold * np.cumsum(counts[:, :3] - counts[:, 3:], axis=0)
    assert np.abs(followed - x).max() < threshold
    assert not ((counts[:, :3] > 0) & (counts[:, 3:] > 0)).any()
    assert len(encode.Delta(threshold)(np.full((20, 2), 7.0))) == 0


def test_delta_holds_rows():
    found = encode.Delta(1.0, steps=5)([[0.0], [2.5], [0.0]])
    assert_array_equal(found.step, [5, 5, 10, 10])
    assert_array_equal(found.channel, [0, 0, 1, 1])


def test_a_task_encodes_what_it_shows(rng):
    xs, ys = [rng.normal(size=(t, 2)) for t in (8, 12, 9, 15, 11, 10)], [0, 1] * 3
    task = sl.tasks.Arrays(xs, ys, holdout=0.34, validation=0.0, encoder=encode.Delta(0.2, steps=2))
    k = int(task.indices("test")[0])
    trial = task.trial(0, "test")
    expected = encode.Delta(0.2, steps=2)(task.scaled(xs[k]))
    assert_array_equal(trial.x.step, expected.step)
    assert (task.n_inputs, task.n_steps, trial.mask.shape) == (4, 30, (2 * len(xs[k]),))
    assert_allclose(trial.mask.sum(), 1.0)
    random = sl.tasks.Arrays(xs, ys, holdout=0.34, validation=0.0, encoder={"name": "Poisson", "low": -1.0}, seed=2)
    n = random.n_samples()
    of_one = [i for i in range(6 * n) if random.trial(i).x.n_steps == random.trial(0).x.n_steps]
    drawn = [random.trial(i).x for i in of_one]
    assert any(not np.array_equal(drawn[0].step, other.step) for other in drawn[1:]), "fresh spikes"
    assert_array_equal(random.trial(3).x.step, random.trial(3).x.step)
    assert task.to_dict()["encoder"] == {"name": "Delta", "threshold": 0.2, "steps": 2}
    assert task.matches(task.to_dict()) and not task.matches(random.to_dict())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: encode.Poisson(2000.0), "Poisson.max_rate must be at most 1000 Hz"),
        (lambda: encode.Poisson(low=1.0), "Poisson.high must be above low=1"),
        (lambda: encode.Poisson()([[0.5]]), "Poisson rng must be a generator or a seed"),
        (lambda: encode.Latency(1), "Latency.steps must be a whole number >= 2"),
        (lambda: encode.Delta(0.0), "Delta.threshold must be a positive number"),
        (lambda: encode.GaussianFields(1), "GaussianFields.units must be a whole number >= 2"),
        (lambda: encode.Window(0), "Window.size must be a whole number >= 1"),
        (lambda: encode.Current()([1.0, 2.0]), r"Current x must have shape \[T, n\]"),
        (lambda: encode.Current()([[np.nan]]), "Current x must be finite"),
        (lambda: encode.Chain([encode.Delta(1.0), encode.Window(2)]), "Delta, which returns spikes, at the end only"),
        (lambda: encode.Chain([]), "Chain.encoders must hold an encoder or more"),
        (lambda: encode.make({"name": "Morse"}), "encoder name must be one of"),
        (lambda: encode.make({"name": "Delta", "treshold": 1}), "parameter of Delta must be one of"),
        (lambda: encode.make(3), "encoder must be an encoder such as"),
        (
            lambda: sl.tasks.Arrays(np.zeros((4, 5, 1)), [0, 1, 0, 1], steps_per_sample=2, encoder=encode.Delta(1.0)),
            "Arrays.steps_per_sample must be 1 with an encoder",
        ),
    ],
)
def test_what_an_encoder_refuses(call, text):
    with pytest.raises((ValueError, TypeError), match=text):
        call()
