"""Panels of weights: a matrix, and which synapses there are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from .._check import fail
from ..network.weights import Weights
from ..recording import Recording
from .style import BLUE, GREY, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"w_in": "Input weights", "w_rec": "Recurrent weights", "w_out": "Readout weights"}
LARGEST = 4000  # side of a matrix that is drawn entry by entry
MAX_MARKS = 20_000  # synapses that are drawn one by one


def weight_matrix(source: Any, ax: Axes | None = None, matrix: str = "w_rec", update: int | None = None) -> Axes:
    """A matrix of weights in colours, red above and blue below zero; absent synapses are white.

    source : `Weights`, an open recording or its path, or an array or sparse matrix [pre, post]
    ax : Axes to draw into; None: new ones
    matrix : w_in, w_rec or w_out, where the source has several
    update : of a recording: after so many updates; None: the last snapshot

    Colours reach to the 99th percentile of the absolute values. Raises ValueError for anything else as a source, KeyError
    and IndexError as `Recording.weights`.
    """
    w, name = _matrix("weight_matrix", source, matrix, update)
    if max(w.shape) > LARGEST:
        need = f"have at most {LARGEST} rows and columns"
        raise fail("plot.weight_matrix.source", need, w.shape, "plot.connectivity draws any size")
    dense = np.asarray(w.toarray() if sparse.issparse(w) else w, np.float64)
    present = dense != 0
    limit = float(np.percentile(np.abs(dense[present]), 99)) if present.any() else 1.0
    ax = axes_or_new(ax)
    look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "aspect": "auto", "interpolation": "nearest"}
    image = ax.imshow(np.where(present, dense, np.nan), **look)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, fraction=0.05, extend="both")
    bar.outline.set_visible(False)
    bar.set_label("weight, in units of v")
    ax.set(xlabel="to", ylabel="from")
    ax.set_title(TITLES.get(name, "Weights"), loc="left")
    return ax


def connectivity(source: Any, ax: Axes | None = None, matrix: str = "w_rec", update: int | None = None) -> Axes:
    """Which synapses there are: a mark for each, or their density where there are too many to tell apart.

    source : `Weights`, an open recording or its path, or an array or sparse matrix [pre, post] of any size
    ax : Axes to draw into; None: new ones
    matrix : w_in, w_rec or w_out, where the source has several
    update : of a recording: after so many updates; None: the last snapshot

    Nothing of the size of a dense matrix is made of a sparse one. Raises as `weight_matrix`.
    """
    w, name = _matrix("connectivity", source, matrix, update)
    if sparse.issparse(w):
        coo = w.tocoo()
        pre, post = coo.coords if hasattr(coo, "coords") else (coo.row, coo.col)
    else:
        pre, post = np.nonzero(np.asarray(w))
    n_pre, n_post = w.shape
    ax = axes_or_new(ax)
    if pre.size <= MAX_MARKS:
        side = 400.0 / max(n_pre, n_post)
        ax.plot(post, pre, "s", color=BLUE, markersize=float(np.clip(side, 1.5, 6.0)), markeredgewidth=0)
    else:
        bins = [min(n_pre, 200), min(n_post, 200)]
        counts, _, _ = np.histogram2d(pre, post, bins=bins, range=[[-0.5, n_pre - 0.5], [-0.5, n_post - 0.5]])
        extent = (-0.5, n_post - 0.5, n_pre - 0.5, -0.5)
        density = counts / (n_pre * n_post / (bins[0] * bins[1]))
        image = ax.imshow(density, cmap="Blues", vmin=0.0, aspect="auto", extent=extent, interpolation="nearest")
        bar = ax.figure.colorbar(image, ax=ax, pad=0.02, fraction=0.05)
        bar.outline.set_visible(False)
        bar.set_label("share of synapses")
    ax.set(xlabel="to", ylabel="from", xlim=(-0.5, n_post - 0.5), ylim=(n_pre - 0.5, -0.5))
    ax.spines[["top", "right"]].set(visible=True, color=GREY)
    share = pre.size / max(n_pre * n_post, 1)
    title = TITLES.get(name, "Synapses").replace("weights", "synapses")
    ax.set_title(f"{title}: {pre.size}, {share:.2g} of all, {pre.size / max(n_post, 1):.3g} a neuron", loc="left")
    return ax


def _matrix(where: str, source: Any, matrix: str, update: int | None) -> tuple[Any, str]:
    """The matrix [pre, post], dense or sparse, and its name."""
    if isinstance(source, (Recording, str, os.PathLike)):
        source = Weights.load(source, update)
    if isinstance(source, Weights):
        if matrix not in ("w_in", "w_rec", "w_out"):
            raise fail(f"plot.{where}.matrix", "be w_in, w_rec or w_out", matrix)
        return getattr(source, matrix), matrix
    if sparse.issparse(source):
        return source, ""
    array = np.asarray(source)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise fail(f"plot.{where}.source", "be Weights, a recording or a matrix [pre, post]", source)
    return array, ""
