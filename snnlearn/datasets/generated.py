"""Data sets that are drawn instead of stored: MNIST-1D, Yin-Yang, Mackey-Glass. Facts are from the papers, the code is own.

MNIST-1D (Greydanus & Kobak 2020): a digit is a curve of 12 points. With r a uniform number in 0 .. 1, drawn anew each time:

    padded by 36 + floor(25 r) zeros, read at 72 points;  times 1 + 0.4 (r - 1/2);  moved round by 0 .. 47 points
    + 0.25 n smoothed over 2 points, in the padding;  + 0.02 n;  - 0.75 (r - 1/2) s,  s = -1/2 .. 1/2;  read at 40 points

`mnist1d` 0.0.2 gives the same labels, and the same series to float32's rounding (`tests/datasets/test_generated.py` keeps some).

Yin-Yang (Kriener, Goeltz & Petrovici 2021): points (x, y, 1 - x, 1 - y) in a disc of radius 1/2; the class is
chosen first.

Mackey-Glass, after NeuroBench (Yik et al. 2025): tau = 17 .. 30, 50 Lyapunov times of 75 points each,

    dx/dt = 0.2 x(t - tau)/(1 + x(t - tau)^10) - 0.1 x,   x = x0 for t <= 0                                    (1)

with their Lyapunov times and initial values; another solver, so equivalent series and not equal ones.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import _check

CURVES = (  # of MNIST-1D's digits 0 .. 9
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
POINTS, LONG, SHORT = 12, 72, 40  # of a curve, of a padded curve, of a series
RADIUS, DOT = 0.5, 0.1  # of the disc and of a dot of Yin-Yang
YIN_YANG = ("yin", "yang", "dot")
LYAPUNOV = {  # tau: Lyapunov time, initial value
    **{17: (197, 0.72066), 18: (138, 0.774431), 19: (315, 0.778347), 20: (131, 0.922599), 21: (191, 0.947943)},
    **{22: (119, 0.545596), 23: (106, 0.862225), 24: (97, 0.325966), 25: (98, 0.829783), 26: (104, 1.003349)},
    **{27: (112, 0.649141), 28: (119, 1.09575), 29: (131, 0.925618), 30: (139, 0.271364)},
}
PER_TIME, TIMES = 75, 50  # points of a Lyapunov time, Lyapunov times of a series
SUBSTEPS = 10  # steps of the solver for each unit of time


@lru_cache(maxsize=2)
def mnist1d(n: int = 5000, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Series [n, 40], standardised over all of them, and labels [n]; a tenth of each class, shuffled.

    n : a multiple of 10; the published data are n=5000, seed=42, of which the first 4000 are for training
    Raises ValueError or TypeError for other numbers.
    """
    n = _check.integer("mnist1d n", n, "be a positive multiple of 10", low=10)
    if n % 10:
        raise _check.fail("mnist1d n", "be a positive multiple of 10", n)
    curves = np.array(CURVES)
    curves -= curves.mean(axis=1, keepdims=True)
    curves /= curves.std(axis=1, keepdims=True)
    curves = (curves - curves[:, :1]) / 6
    rng = np.random.RandomState(_check.integer("mnist1d seed", seed, "be in 0 .. 2**32 - 1", low=0, high=2**32 - 1))
    series = np.array([_digit(rng, curves[k // (n // 10)]) for k in range(n)])
    order = rng.permutation(n)
    series = (series[order] - series.mean()) / series.std()
    return _frozen(series), _frozen(order // (n // 10))


def _digit(rng: np.random.RandomState, curve: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d  # which takes a while, and is wanted here alone

    padding = 36 + int(25 * rng.rand())
    x = _read(np.append(curve, np.zeros(padding)), LONG)
    outside = np.linspace(0, POINTS - 1 + padding, LONG) >= POINTS
    x *= 1 + 0.4 * (rng.rand() - 0.5)
    by = rng.choice(48)
    x, outside = np.roll(x, by), np.roll(outside, by)
    x += outside * gaussian_filter1d(0.25 * rng.randn(LONG), 2)
    x += 0.02 * rng.randn(LONG)
    x -= 0.75 * (rng.rand() - 0.5) * np.linspace(-0.5, 0.5, LONG)
    return _read(x, SHORT)


def _read(x: np.ndarray, n: int) -> np.ndarray:
    """A curve at n points, evenly from its beginning to its end."""
    return np.interp(np.linspace(0, 1, n), np.linspace(0, 1, x.size), x)


@lru_cache(maxsize=4)
def yin_yang(n: int = 5000, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 4] and labels [n]: 0 yin, 1 yang, 2 dot. Raises ValueError or TypeError for a bad n or seed.

    The published sets are n=5000, seed=42 (training), n=1000, seed=41 (validation) and n=1000, seed=40 (test).
    """
    n = _check.integer("yin_yang n", n, "be a positive number", low=1)
    rng = np.random.RandomState(_check.integer("yin_yang seed", seed, "be in 0 .. 2**32 - 1", low=0, high=2**32 - 1))
    points, labels = np.empty((n, 4)), np.empty(n, np.int64)
    for k in range(n):
        labels[k] = rng.randint(3)
        while True:
            x, y = rng.rand(2) * 2 * RADIUS
            if np.hypot(x - RADIUS, y - RADIUS) <= RADIUS and _part(x, y) == labels[k]:
                break
        points[k] = x, y, 1 - x, 1 - y
    return _frozen(points), _frozen(labels)


def _part(x: float, y: float) -> int:
    """Which part of the disc a point lies in."""
    right, left = (float(np.hypot(x - c * RADIUS, y - RADIUS)) for c in (1.5, 0.5))
    if right < DOT or left < DOT:
        return 2
    yin = right <= DOT or DOT < left <= RADIUS / 2 or (y > RADIUS and right > RADIUS / 2)
    return 0 if yin else 1


@lru_cache(maxsize=16)
def mackey_glass(tau: int = 17) -> np.ndarray:
    """The series of this delay, [3750]: 50 Lyapunov times of 75 points. Equation (1).

    Runge-Kutta of fourth order with tenths of a unit of time; the past in between is a cubic. Raises ValueError for a tau that is
    not one of 17 .. 30.
    """
    tau = _check.integer("mackey_glass tau", tau, "be a whole number in 17 .. 30", low=17, high=30)
    lyapunov, start = LYAPUNOV[tau]
    h, back = 1 / SUBSTEPS, tau * SUBSTEPS
    n = lyapunov * TIMES * SUBSTEPS
    x, slope = np.full(n + back + 2, start), np.zeros(n + back + 2)  # entry `back` is time 0

    def change(now: float, past: float) -> float:
        fifth = past * past * past * past * past  # products are the same on all machines, and chaos would tell them apart
        return 0.2 * past / (1 + fifth * fifth) - 0.1 * now

    for i in range(back, n + back + 1):
        past, later = x[i - back], x[i - back + 1]
        middle = (past + later) / 2 + h * (slope[i - back] - slope[i - back + 1]) / 8  # cubic from values and slopes
        k1 = change(x[i], past)
        k2 = change(x[i] + h / 2 * k1, middle)
        k3 = change(x[i] + h / 2 * k2, middle)
        k4 = change(x[i] + h * k3, later)
        slope[i] = k1
        x[i + 1] = x[i] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    at = np.arange(TIMES * PER_TIME) * lyapunov / PER_TIME * SUBSTEPS
    return _frozen(np.interp(at, np.arange(n + 2), x[back:]))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
