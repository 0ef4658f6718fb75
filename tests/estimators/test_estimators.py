"""Estimators: scikit-learn's own checks, the forms of X, learning by the defaults, and what is told."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import snnlearn as sl

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_wine, make_friedman1, make_moons
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([sl.SpikingClassifier(), sl.SpikingRegressor()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def waves(trials=120, seed=0):
    """Series of 30 to 60 rows that turn left or right, in units of their own, and which they do."""
    rng = np.random.default_rng(seed)
    xs, names = [], rng.choice(["left", "right"], trials)
    for name in names:
        phase = rng.uniform(0, 2 * np.pi) + 0.25 * np.arange(rng.integers(30, 60))
        x = np.stack([np.cos(phase), np.sin(phase) * (1 if name == "left" else -1)], axis=1)
        xs.append(200 + 30 * x + rng.normal(size=x.shape))
    return xs, names


def test_the_defaults_learn_tables():
    X, y = load_wine(return_X_y=True)
    assert cross_val_score(sl.SpikingClassifier(random_state=0), X, y, cv=3).mean() > 0.93
    X, y = make_moons(400, noise=0.1, random_state=0)
    assert cross_val_score(sl.SpikingClassifier(random_state=0), X, y, cv=3).mean() > 0.93
    X, y = make_friedman1(300, random_state=0)
    assert cross_val_score(sl.SpikingRegressor(random_state=0), X, 1000 + 5 * y, cv=3).mean() > 0.8


def test_the_defaults_learn_series_of_any_lengths():
    X, y = waves()
    model = sl.SpikingClassifier(random_state=0).fit(X[:80], y[:80])
    assert model.score(X[80:], y[80:]) > 0.95 and model.steps_per_row_ == 2 and list(model.classes_) == ["left", "right"]
    proba = model.predict_proba(X[80:])
    assert proba.shape == (40, 2) and np.allclose(proba.sum(axis=1), 1)
    same = np.stack([x[:30] for x in X])
    assert np.array_equal(model.predict(list(same)), model.predict(same))
    assert np.array_equal(model.predict(X)[::-1], model.predict(X[::-1]))


def test_a_sum_over_a_series_is_regressed():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 20, 2))
    y = np.stack([X[:, :, 0].mean(axis=1) * 50 + 7, X[:, 10:, 1].sum(axis=1)], axis=1)
    model = sl.SpikingRegressor(random_state=0).fit(X[:300], y[:300])
    assert model.predict(X).shape == (400, 2) and model.score(X[300:], y[300:]) > 0.5


def test_one_trial_at_a_time():
    X, y = make_moons(500, noise=0.1, random_state=0)
    model = sl.SpikingClassifier(random_state=0)
    for k in range(300):
        model.partial_fit(X[k : k + 1], y[k : k + 1], classes=[0, 1])
    assert model.score(X[300:], y[300:]) > 0.8 and model.simulator_.updates_done == 300
    together = sl.SpikingClassifier(random_state=0).partial_fit(X[:300], y[:300])
    assert together.score(X[300:], y[300:]) > 0.8
    with pytest.raises(ValueError, match="hold the classes"):
        model.partial_fit(X[:2], [0, 2])
    with pytest.raises(ValueError, match="as before"):
        model.partial_fit(X[:2], [0, 1], classes=[0, 1, 2])
    X, y = make_friedman1(500, random_state=0)
    model = sl.SpikingRegressor(random_state=0)
    for k in range(400):
        model.partial_fit(X[k : k + 1], y[k : k + 1])
    assert model.score(X[400:], y[400:]) > 0.4
    fitted = sl.SpikingRegressor(random_state=0, epochs=5).fit(X[:400], y[:400])
    before = fitted.score(X[400:], y[400:])
    assert fitted.partial_fit(X[:400], y[:400]).score(X[400:], y[400:]) > before  # goes on, and does not begin anew


def test_it_is_an_estimator_like_others():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), sl.SpikingClassifier(random_state=0, epochs=4))
    grid = {"spikingclassifier__rule": [sl.EProp(), sl.BPTT()], "spikingclassifier__n_neurons": [20, 40]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.8 and len(search.cv_results_["params"]) == 4
    model = sl.SpikingClassifier(n_neurons=30, optimizer=sl.Adam(2e-2), random_state=3, epochs=3)
    copy = clone(model)
    assert copy.get_params().keys() == model.get_params().keys() and copy.n_neurons == 30
    series, names = waves(80)
    assert cross_val_score(sl.SpikingClassifier(random_state=0), series, names, cv=2).mean() > 0.9
    fitted = model.fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))
    again = clone(model).fit(X, y)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_spikes_are_taken_as_they_are_and_an_own_network():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    X = (rng.random((60, 50, 4)) < np.where(y[:, None, None] == np.array([0, 0, 1, 1]), 0.3, 0.05)).astype(float)
    net = sl.Network(4, [sl.LIF(20), sl.ALIF(10)], sl.Readout(2, tau=20.0, normalize_input=True))
    model = sl.SpikingClassifier(network=net, rule=sl.EProp(feedback="random"), random_state=0, validation=0.2).fit(X, y)
    assert model.scale_.keep and model.score(X, y) > 0.95 and model.simulator_.net is net
    assert len(model.history_.evaluation_score) == 200  # 600 updates of a batch, 3 in an epoch
    with pytest.raises(ValueError, match=r"SpikingClassifier\.network\.n_inputs must be 3, as the data have \(got 4"):
        clone(model).fit(X[:, :, :3], y)


@pytest.mark.filterwarnings("ignore:Simulator")
def test_a_guard_says_when_nothing_is_learnt():
    rng = np.random.default_rng(0)
    X, y = np.ones((80, 3)), rng.integers(0, 2, 80)
    with pytest.warns(sl.RunWarning, match="nothing was learnt"):
        sl.SpikingClassifier(random_state=0, epochs=3).fit(X, y)
    with pytest.warns(sl.RunWarning, match="nothing was learnt"):
        sl.SpikingRegressor(random_state=0, epochs=3).fit(X, rng.normal(size=80))
    X = rng.normal(size=(120, 20))
    with pytest.warns(sl.RunWarning, match="held out; give more trials"):
        sl.SpikingClassifier(random_state=0, validation=0.25).fit(X, rng.integers(0, 2, 120))


@pytest.mark.parametrize(
    ("options", "X", "error", "text"),
    [
        ({"n_neurons": 0}, None, ValueError, r"SpikingClassifier.n_neurons must be a positive number \(got 0"),
        ({"duration": -1.0}, None, ValueError, "SpikingClassifier.duration must be a positive time"),
        ({"rule": "eprop"}, None, TypeError, "SpikingClassifier.rule must be"),
        ({"network": 3}, None, TypeError, "SpikingClassifier.network must be an sl.Network"),
        ({}, [np.ones((3, 2)), np.ones((3, 4))], ValueError, r"SpikingClassifier.X\[1\] must have 2 features"),
        ({}, [np.ones((3, 2)), np.full((3, 2), np.nan)], ValueError, r"SpikingClassifier.X\[1\] must be finite"),
        ({}, [np.ones((3, 2))] * 3, ValueError, "hold a value for each of 3 trials"),
    ],
)
def test_bad_input_is_one_sentence(options, X, error, text):
    with pytest.raises(error, match=text) as told:
        sl.SpikingClassifier(**options).fit([[0.0], [1.0]] if X is None else X, [0, 1])
    assert "\n" not in str(told.value)


def test_without_scikit_learn_it_says_what_to_install():
    code = """
import sys
sys.modules["sklearn"] = None
sys.modules["torch"] = None
import snnlearn as sl
for make in (lambda: sl.SpikingClassifier(), lambda: sl.SpikingRegressor(), lambda: sl.torch.RecurrentSpiking(None, None)):
    try:
        make()
    except ImportError as error:
        print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert found == [
        "sl.SpikingClassifier needs scikit-learn: pip install scikit-learn",
        "sl.SpikingRegressor needs scikit-learn: pip install scikit-learn",
        "sl.torch.RecurrentSpiking needs torch: pip install torch",
    ]
