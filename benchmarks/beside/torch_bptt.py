"""PyTorch: full BPTT by autograd through the unrolled trial, with the same surrogate gradient.

The time is of loss and gradient, without an update; the gradient is compared with that of snnlearn's BPTT first. In the sparse
network a step is a product with a matrix of torch.sparse, whose gradient is written by hand, because autograd's takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse

import snnlearn as sl

from .cases import BATCHES, Case, by_columns, case, check_gradient, peak, seconds


def run(name: str, threads: int, repeats: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    found = {}
    for batch in BATCHES[name]:
        c, suffix = case(name, batch), f", batch {batch}" if len(BATCHES[name]) > 1 else ""
        gradient = _unrolled(c)
        found[f"BPTT{suffix}"] = seconds(gradient, repeats)
        found["MB"] = peak()
        parts = [g.numpy() / batch for g in gradient()]
        if parts[1].ndim == 2:
            np.fill_diagonal(parts[1], 0.0)
        check_gradient(parts, c.gradient(sl.BPTT()))
    return found


def _unrolled(c: Case) -> Callable[[], list[Any]]:
    """A function that gives the gradients of w_in, w_rec, w_out, summed over the trials; sparse ones by columns."""
    import torch

    k = c.constants()
    numbers = {name: torch.tensor(getattr(k, name)) for name in ("alpha", "thr", "current", "n_ref", "rho", "beta", "height")}
    alpha, thr, current, n_ref, rho, beta, height = numbers.values()
    x, target, mask = map(torch.tensor, c.arrays())
    x, target, mask = x.transpose(0, 1), target.transpose(0, 1), mask.T[:, :, None]
    adapts = bool(k.beta.any())
    enter, w_in = _matrix(k.w_in)
    recur, w_rec = _matrix(k.w_rec)
    w_out = torch.tensor(k.w_out, requires_grad=True)

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, over: Any, free: Any) -> Any:
            ctx.save_for_backward(over, free)
            return ((over > 0) & free).float()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            over, free = ctx.saved_tensors
            return g * free * (thr * height) * torch.clamp(1.0 - over.abs(), min=0.0), None

    def gradient() -> list[Any]:
        for w in (w_in, w_rec, w_out):
            w.grad = None
        shape = (x.shape[1], k.n)
        v, adapted, z, y = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape), torch.zeros(shape[0], 2)
        left = torch.zeros(shape, dtype=torch.int64)
        driven = [enter(row, w_in) for row in x] if enter else (x @ w_in).unbind()  # an index would cost a copy of all, backward
        outputs = []
        for t in range(len(x)):
            v = alpha * v + driven[t] + (recur(z, w_rec) if recur else z @ w_rec) + current - thr * z
            over = v - thr
            if adapts:
                adapted = rho * adapted + z
                over = over - beta * adapted
            z = Spike.apply(over / thr, left <= 0)
            left = torch.where(left > 0, left - 1, torch.where(z > 0, n_ref, 0))
            y = k.kappa * y + z @ w_out
            outputs.append(y)
        y = torch.stack(outputs)
        loss = -(torch.log_softmax(y, dim=-1) * target * mask).sum() if c.entropy else 0.5 * (mask * (y - target) ** 2).sum()
        loss.backward()
        return [w.grad for w in (w_in, w_rec, w_out)]

    return gradient


def _matrix(w: Any) -> tuple[Callable[..., Any] | None, Any]:
    """A product (z [1, n_pre], weights) for a sparse matrix, None for a dense one, and the weights that learn."""
    import torch

    if not issparse(w):
        return None, torch.tensor(w, requires_grad=True)
    pre, post, values = map(torch.tensor, by_columns(w))
    rows, columns = w.tocsr(), w.tocsc()
    there = torch.sparse_csr_tensor(*map(torch.tensor, (columns.indptr, columns.indices, columns.data)), (w.shape[1], w.shape[0]))
    back = torch.sparse_csr_tensor(*map(torch.tensor, (rows.indptr, rows.indices, rows.data)), w.shape)

    class Deliver(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Any, weights: Any) -> Any:
            ctx.save_for_backward(z)
            return (there @ z.T).T

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (z,) = ctx.saved_tensors
            return (back @ g.T).T if ctx.needs_input_grad[0] else None, z[0, pre] * g[0, post]

    return Deliver.apply, values.requires_grad_()
