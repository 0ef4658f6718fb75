"""The data sets of the suite by their names, each divided as it is published or stratified: what is learnt from, and the test.

    mnist-1d, yin-yang, mackey-glass                                   drawn (`generated`)
    spoken-digits, japanese-vowels, basic-motions, smartwatch,
    mnist-rows, mnist-pixels, mnist-permuted, laser                    of packages that are installed (`installed`)

A validation split is taken from what is learnt from, never from the test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from . import generated, installed

FOLDS = 5  # of the smartwatch's subjects
WATCH_EVERY, WATCH_STEPS = 2, 100  # samples at 50 Hz that become one, steps of a piece: 4 s, as published
PIECE = 150  # steps of a piece of a long series
LASER_TRAIN, LASER_TEST = 6000, 8000  # where training and validation end
MACKEY_TIMES = 10  # Lyapunov times that are learnt from, and that are forecast
DIGITS = 6  # decimals of which a digest is taken: further ones of what is drawn may differ between machines
SPLIT_SEED = 0  # of stratified splits and of the permutation of pixels


class SeriesData(NamedTuple):
    """A data set divided: `sl.tasks.Arrays(xs, ys, test=test, validation=..., groups=groups)` is its task."""

    name: str
    xs: list[np.ndarray]  # [T_k, n]
    ys: Any  # labels [trials], or a list of targets [T_k, n_out]
    test: tuple[list[np.ndarray], Any]
    groups: np.ndarray | None = None  # of xs, which a validation split does not divide
    validation: tuple[list[np.ndarray], Any] | None = None  # where the data have one of their own

    def __repr__(self) -> str:
        return _check.brief(self)

    @property
    def digest(self) -> str:
        """A digest of all series and targets."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.xs, self.ys, *self.test, *(self.validation or ())):
            for array in part:
                floats = isinstance(array, np.ndarray) and array.dtype.kind == "f"
                digest.update((array.round(DIGITS) + 0.0).tobytes() if floats else str(array).encode())
        return digest.hexdigest()


def _mnist1d() -> SeriesData:
    x, y = generated.mnist1d()
    xs = list(x[:, :, None])
    return SeriesData("mnist-1d", xs[:4000], y[:4000], (xs[4000:], y[4000:]))


def _yin_yang() -> SeriesData:
    parts = [generated.yin_yang(n, seed) for n, seed in ((5000, 42), (1000, 41), (1000, 40))]
    train, validation, test = [(list(x[:, None, :]), y) for x, y in parts]
    return SeriesData("yin-yang", *train, test, None, validation)


def _mackey_glass(tau: int = 17) -> SeriesData:
    x = generated.mackey_glass(tau)[:, None]
    end = MACKEY_TIMES * generated.PER_TIME
    held = end * 4 // 5
    return SeriesData(
        "mackey-glass", *_next(x[:held]), _next(x[end : 2 * end + 1], whole=True), None, _next(x[held : end + 1], whole=True)
    )


def _laser() -> SeriesData:
    x = installed.laser()[:, None]
    train, held, test = x[:LASER_TRAIN], x[LASER_TRAIN:LASER_TEST], x[LASER_TEST:]
    return SeriesData("laser", *_next(train), _next(test, whole=True), None, _next(held, whole=True))


def _next(x: np.ndarray, whole: bool = False) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pieces of a series, and as targets the values that come next. whole : one piece"""
    size = len(x) - 1 if whole else PIECE
    starts = range(0, len(x) - size, max(1, size // 3))
    return [x[k : k + size] for k in starts], [x[k + 1 : k + size + 1] for k in starts]


def _spoken_digits() -> SeriesData:
    xs, y = installed.spoken_digits()
    return _stratified("spoken-digits", xs, y, 0.5)


def _archive(name: str, found: str) -> SeriesData:
    xs, ys, test_xs, test_ys = installed.archive(found)
    return SeriesData(name, xs, ys, (test_xs, test_ys))


def _smartwatch(fold: int = 0) -> SeriesData:
    """Pieces of 4 s at 25 Hz; subjects fold, fold + 5 are the test."""
    fold = _check.integer("smartwatch fold", fold, f"be in 0 .. {FOLDS - 1}", low=0, high=FOLDS - 1)
    recordings, labels, subjects = installed.smartwatch()
    xs, ys, of = [], [], []
    for x, label, subject in zip(recordings, labels, subjects, strict=True):
        x = x[: len(x) // WATCH_EVERY * WATCH_EVERY].reshape(-1, WATCH_EVERY, x.shape[1]).mean(axis=1)
        for start in range(0, len(x) - WATCH_STEPS + 1, WATCH_STEPS):
            xs.append(x[start : start + WATCH_STEPS])
            ys.append(label)
            of.append(subject)
    group, y = np.array(of), np.array(ys)
    test = (group - group.min()) % FOLDS == fold
    own = np.flatnonzero(~test)
    held = np.flatnonzero(test)
    return SeriesData("smartwatch", [xs[k] for k in own], y[own], ([xs[k] for k in held], y[held]), group[own])


def _mnist(by: str) -> SeriesData:
    images, y = installed.mnist_5k()
    if by == "rows":
        xs = list(images)
    else:
        pixels = images.reshape(len(images), -1, 1)
        if by == "permuted":
            pixels = pixels[:, np.random.RandomState(SPLIT_SEED).permutation(pixels.shape[1])]
        xs = list(pixels)
    return _stratified(f"mnist-{by}", xs, y, 0.2)


def _stratified(name: str, xs: list[np.ndarray], y: np.ndarray, fraction: float) -> SeriesData:
    """A fraction of every class, the same at every call, is the test."""
    rng, held = np.random.RandomState(SPLIT_SEED), np.zeros(len(y), bool)
    for label in np.unique(y):
        own = rng.permutation(np.flatnonzero(y == label))
        held[own[: round(fraction * own.size)]] = True
    train, test = np.flatnonzero(~held), np.flatnonzero(held)
    return SeriesData(name, [xs[k] for k in train], y[train], ([xs[k] for k in test], y[test]))


LOADERS: dict[str, Callable[..., SeriesData]] = {
    "basic-motions": lambda: _archive("basic-motions", "BasicMotions"),
    "japanese-vowels": lambda: _archive("japanese-vowels", "JapaneseVowels"),
    "laser": _laser,
    "mackey-glass": _mackey_glass,
    "mnist-1d": _mnist1d,
    "mnist-permuted": lambda: _mnist("permuted"),
    "mnist-pixels": lambda: _mnist("pixels"),
    "mnist-rows": lambda: _mnist("rows"),
    "smartwatch": _smartwatch,
    "spoken-digits": _spoken_digits,
    "yin-yang": _yin_yang,
}


@lru_cache(maxsize=4)
def load(name: str, variant: int | None = None) -> SeriesData:
    """Load a data set of the suite; kept in memory for further calls.

    name : one of `sl.datasets.SERIES`
    variant : of smartwatch the fold, 0 .. 4, whose subjects are the test; of mackey-glass the delay tau, 17 .. 30
    Raises ValueError for an unknown name or variant, ImportError that names the package to install, FileNotFoundError where it
    lacks the file.
    """
    loader = LOADERS[_check.choice("data set", name, LOADERS)]
    if variant is None:
        return loader()
    if name not in ("smartwatch", "mackey-glass"):
        raise _check.fail("variant", f"be None for {name}, which has none", variant)
    return loader(variant)


SERIES = tuple(LOADERS)
