"""JAX: a hand-written pair of scans, the same e-prop gradient by adjoints, products of matrices on the tape.

Sparse networks visit every synapse at every step forward, by `segment_sum`, and multiply the tape of each neuron's inputs by
its adjoints. Times are of the gradient alone, without an update. The gradient is compared with snnlearn's first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .cases import BATCHES, Case, by_columns, case, check_gradient, peak, seconds


def run(name: str, threads: int, repeats: int) -> dict[str, float]:
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    import jax

    found = {}
    for batch in BATCHES[name]:
        c, suffix = case(name, batch), f", batch {batch}" if len(BATCHES[name]) > 1 else ""
        gradient = _scans(c)
        args = [a if batch > 1 else a[0] for a in c.arrays()]
        gradient = jax.jit(jax.vmap(gradient) if batch > 1 else gradient)
        found[f"learning{suffix}"] = seconds(lambda g=gradient, a=args: jax.block_until_ready(g(*a)), repeats)
        found["MB"] = peak()
        parts = gradient(*args)
        check_gradient([np.asarray(g).mean(axis=0) if batch > 1 else g for g in parts], c.gradient(c.rule))
    return found


def _scans(c: Case) -> Callable[..., Any]:
    """A function (x [T, n_in], target, mask [T]) -> gradients of w_in, w_rec, w_out; sparse ones by columns."""
    import jax
    import jax.numpy as jnp

    k = c.constants()
    alpha, thr, height, current, n_ref = map(jnp.array, (k.alpha, k.thr, k.height, k.current, k.n_ref))
    rho, beta, kappa, w_out, feedback = map(jnp.array, (k.rho, k.beta, k.kappa, k.w_out, k.feedback))
    n, entropy = k.n, c.entropy
    enter, gather_in = _matrix(k.w_in)
    recur, gather_rec = _matrix(k.w_rec)

    def forward(carry: Any, x: Any) -> Any:
        v, adapted, z, left, y = carry
        v = alpha * v + x + recur(z) + current - thr * z
        adapted = rho * adapted + z
        over = (v - thr - beta * adapted) / thr
        psi = jnp.where(left > 0, 0.0, height * jnp.maximum(0.0, 1.0 - jnp.abs(over)))
        z = jnp.where((over > 0) & (left <= 0), 1.0, 0.0)
        left = jnp.where(left > 0, left - 1, jnp.where(z > 0, n_ref, 0))
        y = kappa * y + z @ w_out
        return (v, adapted, z, left, y), (z, psi, y)

    def back(carry: Any, step: Any) -> Any:
        lv, la, ly = carry
        psi, error = step
        ly = kappa * ly + error
        lz = feedback @ ly + la
        lv = alpha * lv + psi * lz
        la = rho * la - beta * psi * lz
        return (lv, la, ly), (lv, ly)

    def gradient(x: Any, target: Any, mask: Any) -> Any:
        zero, none = jnp.zeros(n, jnp.float32), jnp.zeros(2, jnp.float32)
        driven = x @ k.w_in if not issparse(k.w_in) else jax.lax.map(enter, x)
        _, (z, psi, y) = jax.lax.scan(forward, (zero, zero, zero, jnp.zeros(n, jnp.int32), none), driven)
        error = mask[:, None] * (jax.nn.softmax(y) - target if entropy else y - target)
        _, (adjoint, ly) = jax.lax.scan(back, (zero, zero, none), (psi, error), reverse=True)
        before = jnp.concatenate([jnp.zeros((1, n), jnp.float32), z[:-1]])
        g_rec = gather_rec(before, adjoint)
        if g_rec.ndim == 2:
            g_rec = g_rec * (1.0 - jnp.eye(n, dtype=jnp.float32))
        return gather_in(x, adjoint), g_rec, z.T @ ly

    return gradient


def _matrix(w: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Two functions of a weight matrix: z [n_pre] -> z @ w, and (z [T, n_pre], c [T, n_post]) -> z.T @ c on its synapses."""
    import jax
    import jax.numpy as jnp

    if not issparse(w):
        full = jnp.array(w)
        return lambda z: z @ full, lambda z, c: z.T @ c
    # by rows forward, where what is read is in order; by columns back, one neuron with all its inputs at a time
    rows, n = w.tocsr().tocoo(), w.shape[1]
    pre, post, values = (jnp.array(a) for a in (rows.row.astype(np.int32), rows.col.astype(np.int32), rows.data))
    sources = jnp.array(by_columns(w)[0].reshape(n, -1))

    def gather(z: Any, c: Any) -> Any:
        z, c = z.T, c.T
        return jax.lax.map(lambda of: z[of[0]] @ c[of[1]], (sources, jnp.arange(n))).ravel()

    return lambda z: jax.ops.segment_sum(values * z[pre], post, n), gather
