"""Naive twins of the package: the model and its learning rules, written to be obviously right.

NumPy in float64, one loop over steps, no cleverness, nothing imported from the package. Weights are indexed
[pre i, post j]: w_in [n_in, n], w_rec [n, n], w_out [n, n_out], b_out [n_out]; a fixed feedback B is [n, n_out]. Weights and
gradients are dicts with these four names; wherever weights are taken, an object with these four attributes does as well.

    forward     the model                      eprop    e-prop of order 1, forward in time
    errors      task losses                    bptt     the exact gradient, by influence tensors or by adjoints
    rate_signal rate regulariser               train    e-prop with weights that change during the run
    SGD, Adam   optimizers                     random_case, assert_live    material for tests

The rules between e-prop and BPTT are in naive_rules.py. "c" stands for a presynaptic index: the inputs first, then the
recurrent neurons.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

NAMES = ("w_in", "w_rec", "w_out", "b_out")


# ------------------------------------------------------------------------------------------------------------ the model
@dataclass
class Net:
    """Everything about a network but its weights. Arrays are per neuron, times in steps.

    surrogate is one name or one per neuron. v0, a0 are the values one step before the first: v[0] = alpha v0 + ...
    Without a bias, b_out earns no gradient.
    """

    alpha: np.ndarray  # [n] decay of v
    thr: np.ndarray  # [n] threshold, also what a reset subtracts and the width of psi
    conn_rec: np.ndarray  # bool [n, n], pre x post
    conn_in: np.ndarray  # bool [n_in, n]
    n_out: int
    zeta: Any = 1.0  # [n] scale of the input current: 1 or 1 - alpha
    n_ref: Any = 0  # int [n] steps blocked after a spike
    rho: Any = 0.0  # [n] decay of a
    beta: Any = 0.0  # [n] strength of adaptation, 0 = LIF
    gamma: Any = 0.3  # [n] height of psi, times thr
    surrogate: Any = "piecewise_linear"
    kappa: float = 0.0  # decay of the readout
    readout_scale: float = 1.0  # scale of the readout's drive: 1 or 1 - kappa
    delay: int = 1  # of the recurrent synapses, >= 1
    current: Any = 0.0  # [n] background current
    v0: Any = 0.0  # [n]
    a0: Any = 0.0  # [n]
    bias: bool = True

    def __post_init__(self):
        self.conn_in, self.conn_rec = np.array(self.conn_in, bool), np.array(self.conn_rec, bool)
        for name in ("alpha", "thr", "zeta", "rho", "beta", "gamma", "current", "v0", "a0"):
            setattr(self, name, np.array(np.broadcast_to(np.asarray(getattr(self, name), float), (self.n,))))
        self.n_ref = np.array(np.broadcast_to(self.n_ref, (self.n,)), int)
        self.surrogate = [self.surrogate] * self.n if isinstance(self.surrogate, str) else list(self.surrogate)

    @property
    def n(self):
        return self.conn_in.shape[1]

    @property
    def n_in(self):
        return self.conn_in.shape[0]


def plain(w):
    """Weights or gradient as a dict of float64 copies, from a dict or an object with the four attributes."""
    arrays = [w[name] if isinstance(w, dict) else getattr(w, name) for name in NAMES]
    return {k: np.array(a.toarray() if hasattr(a, "toarray") else a, float) for k, a in zip(NAMES, arrays, strict=True)}


def surrogate_shape(name, x):
    """f(x): psi = gamma / thr f((v - A) / thr)."""
    if name == "piecewise_linear":
        return max(0.0, 1.0 - abs(x))
    if name == "exponential":
        return np.exp(-abs(x))
    if name == "fast_sigmoid":
        return 1.0 / (1.0 + abs(x)) ** 2
    if name == "arctan":
        return 1.0 / (1.0 + x**2)
    raise ValueError(name)


def surrogate_integral(name, x):
    """F(x) with dF/dx = f(x): what a spike is in the smooth model, where the surrogate is the true derivative."""
    if name == "piecewise_linear":
        return 0.5 * (1.0 + max(x, -1.0)) ** 2 if x < 0 else 1.0 - 0.5 * (1.0 - min(x, 1.0)) ** 2
    if name == "exponential":
        return np.exp(x) if x < 0 else 2.0 - np.exp(-x)
    if name == "fast_sigmoid":
        return x / (1.0 + abs(x))
    if name == "arctan":
        return np.arctan(x)
    raise ValueError(name)


class Neurons:
    """State of the neurons and readouts of one trial. `past[k]` are the spikes of k + 1 steps ago."""

    def __init__(self, net):
        self.v, self.a, self.y = net.v0.copy(), net.a0.copy(), np.zeros(net.n_out)
        self.past = [np.zeros(net.n)] * max(1, net.delay, net.n_ref.max())


class Forward(NamedTuple):
    """One step, or, as arrays over [T, ...], one trial."""

    v: np.ndarray  # [n] before the reset, which is subtracted one step after the spike
    a: np.ndarray  # [n]
    A: np.ndarray  # [n] adapted threshold
    psi: np.ndarray  # [n]
    z: np.ndarray  # [n] 0 or 1
    y: np.ndarray  # [n_out]
    pre: np.ndarray  # [n_in + n] what the synapses carry: x[t], z[t - delay]


def advance(net, w, state, x, noise=0.0, smooth=False):
    """One step of the model; `state` is overwritten.

    I_j[t]  = sum_i w_in[i,j] x_i[t] + sum_i w_rec[i,j] z_i[t-d] + current_j + noise_j[t]        (1)
    v_j[t]  = alpha_j v_j[t-1] + zeta_j I_j[t] - thr_j z_j[t-1]                                  (2)
    a_j[t]  = rho_j a_j[t-1] + z_j[t-1]                                                          (3)
    A_j[t]  = thr_j + beta_j a_j[t]                                                              (4)
    free_j[t] = no spike of j at t-1 .. t-n_ref_j                                                (5)
    psi_j[t] = gamma_j / thr_j f((v_j[t] - A_j[t]) / thr_j) if free_j[t], else 0                 (6)
    z_j[t]  = 1 if v_j[t] > A_j[t] and free_j[t], else 0                                         (7)
    y_k[t]  = kappa y_k[t-1] + readout_scale (sum_j w_out[j,k] z_j[t] + b_k)                     (8)

    The smooth model has z_j = gamma_j F((v_j - A_j) / thr_j) and no refractoriness.
    """
    z_last, z_delayed = state.past[0], state.past[net.delay - 1]
    pre = np.concatenate([x, z_delayed])
    current = x @ w["w_in"] + z_delayed @ w["w_rec"] + net.current + noise  # (1)
    v = net.alpha * state.v + net.zeta * current - net.thr * z_last  # (2)
    a = net.rho * state.a + z_last  # (3)
    A = net.thr + net.beta * a  # (4)
    psi, z = np.zeros(net.n), np.zeros(net.n)
    for j in range(net.n):
        x_j = (v[j] - A[j]) / net.thr[j]
        free = smooth or not any(state.past[k][j] for k in range(net.n_ref[j]))  # (5)
        if free:
            psi[j] = net.gamma[j] / net.thr[j] * surrogate_shape(net.surrogate[j], x_j)  # (6)
        if smooth:
            z[j] = net.gamma[j] * surrogate_integral(net.surrogate[j], x_j)
        elif free and v[j] > A[j]:
            z[j] = 1.0  # (7)
    y = net.kappa * state.y + net.readout_scale * (z @ w["w_out"] + w["b_out"])  # (8)
    state.v, state.a, state.y, state.past = v, a, y, [z, *state.past[:-1]]
    return Forward(v, a, A, psi, z, y, pre)


def forward(net, w, x, noise=None, smooth=False):
    """One trial from the initial state. x [T, n_in], noise [T, n] -> Forward of arrays [T, ...]."""
    w, x = plain(w), np.asarray(x, float)
    noise = np.zeros((len(x), net.n)) if noise is None else noise
    state = Neurons(net)
    steps = [advance(net, w, state, x[t], noise[t], smooth) for t in range(len(x))]
    return Forward(*(np.array(values) for values in zip(*steps, strict=True)))


# ------------------------------------------------------------------------------------------- losses and the regulariser
def errors(y, target, mask=None, kind="mse"):
    """Derivative of the task loss by y, and the loss. y [T, K]; mask [T] -> err [T, K], E_task.

    "mse": E = sum_t m[t] 1/2 sum_k (y_k - y*_k)^2             err_k = m[t] (y_k - y*_k)             (1)
    "ce" : E = sum_t m[t] (log sum_k exp y_k - y_{label})      err_k = m[t] (softmax(y)_k - [k = label])   (2)

    target [T, K] floats, or labels: int [T] or one for all steps.
    """
    n_steps, n_out = y.shape
    m = np.ones(n_steps) if mask is None else np.asarray(mask, float)
    if kind == "mse":
        difference = y - np.asarray(target, float).reshape(n_steps, n_out)
        return m[:, None] * difference, float(np.sum(m * 0.5 * (difference**2).sum(1)))  # (1)
    label = np.broadcast_to(np.asarray(target, int), n_steps)
    shifted = y - y.max(1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    loss = -np.sum(m * log_softmax[np.arange(n_steps), label])  # (2)
    return m[:, None] * (np.exp(log_softmax) - np.eye(n_out)[label]), float(loss)  # (2)


class Rate(NamedTuple):
    """Rate regulariser: target in Hz, dt and tau in ms. tau None: the mean rate of the trial; otherwise a running rate."""

    strength: float
    target: float
    dt: float = 1.0
    tau: float | None = None


def rate_signal(z, strength, target, dt=1.0, tau=None):
    """What the regulariser adds to dE/dz: reg [T, n], and E_reg. z [T, n].

    of the trial:   zbar_j = mean of z_j over the T steps;   f* = target / 1000
                    E_reg  = 1/2 strength sum_j (zbar_j / dt - f*)^2                             (1)
                    reg_j  = strength (zbar_j / dt - f*) / (T dt), the same at every step        (2)
    running:        r_j[t] = l r_j[t-1] + (1 - l) z_j[t],   l = exp(-dt / tau)                   (3)
                    reg_j[t] = strength (r_j[t] / dt - f*) dt / tau                              (4)

    The running form is not the derivative of an energy; E_reg is nan.
    """
    n_steps, n = z.shape
    if tau is None:
        excess = z.mean(0) / dt - target / 1000.0
        return np.tile(strength * excess / (n_steps * dt), (n_steps, 1)), 0.5 * strength * float(np.sum(excess**2))  # (2) (1)
    decay, r, reg = np.exp(-dt / tau), np.zeros(n), np.zeros((n_steps, n))
    for t in range(n_steps):
        r = decay * r + (1.0 - decay) * z[t]  # (3)
        reg[t] = running_signal(r, strength, target, dt, tau)
    return reg, np.nan


def running_signal(r, strength, target, dt, tau):
    """Equation (4) of rate_signal, for one step."""
    return strength * (r / dt - target / 1000.0) * dt / tau


# ------------------------------------------------------------------------------------------------------------ gradients
class Result(NamedTuple):
    """Gradient of E_task + E_reg of one trial, 0 where there is no synapse."""

    gradient: dict
    loss: float  # E_task
    regularization: float  # E_reg
    forward: Forward
    traces: Any = None  # e-prop: Traces after the last step
    steps: dict | None = None  # e-prop: what each step adds to the gradient, arrays [T, ...]


def average(gradients):
    """Mean of gradient dicts."""
    return {name: sum(g[name] for g in gradients) / len(gradients) for name in NAMES}


def present(net, arrays):
    """The four arrays with 0 where the network has no synapse or no bias; leading axes are allowed."""
    conn = {"w_in": net.conn_in, "w_rec": net.conn_rec, "w_out": True, "b_out": net.bias}
    return {name: arrays[name] * conn[name] for name in NAMES}


def _trial(net, w, x, target, mask, kind, reg, noise, smooth=False):
    """Forward pass and what arrives from outside: f, err [T, K], reg [T, n], E_task, E_reg."""
    f = forward(net, w, x, noise, smooth)
    err, loss = errors(f.y, target, mask, kind)
    signal, regularization = (np.zeros_like(f.z), 0.0) if reg is None else rate_signal(f.z, *reg)
    return f, err, signal, loss, regularization


class Traces:
    """Eligibility traces of one trial: arrays [n_in + n, n] of synapses c -> j, s [n], c a number.

    eps_v[c,j] <- alpha_j eps_v[c,j] + zeta_j pre_c[t]   ( - thr_j e[c,j] if the reset is differentiated )   (1)
    eps_a[c,j] <- rho_j eps_a[c,j] + e[c,j]              (e: still of step t-1)                              (2)
    e[c,j]      = psi_j[t] (eps_v[c,j] - beta_j eps_a[c,j])                                                  (3)
    ebar[c,j]  <- kappa ebar[c,j] + readout_scale e[c,j]                                                     (4)
    s_j        <- kappa s_j + readout_scale z_j[t];   c <- kappa c + readout_scale                           (5)
    """

    def __init__(self, net):
        shape = (net.n_in + net.n, net.n)
        self.eps_v, self.eps_a, self.e, self.ebar = (np.zeros(shape) for _ in range(4))
        self.s, self.c = np.zeros(net.n), 0.0

    def advance(self, net, step, reset_gradient):
        """One step; `step` is the Forward of this step."""
        e_last = self.e
        self.eps_v = net.alpha * self.eps_v + net.zeta * step.pre[:, None]  # (1)
        if reset_gradient:
            self.eps_v = self.eps_v - net.thr * e_last  # (1)
        self.eps_a = net.rho * self.eps_a + e_last  # (2)
        self.e = step.psi * (self.eps_v - net.beta * self.eps_a)  # (3)
        self.ebar = net.kappa * self.ebar + net.readout_scale * self.e  # (4)
        self.s = net.kappa * self.s + net.readout_scale * step.z  # (5)
        self.c = net.kappa * self.c + net.readout_scale  # (5)

    def receive_gradient(self, net, err, feedback, reg):
        """What this step adds to the gradient. err [n_out], feedback [n, n_out], reg [n].

        L_j            = sum_k B[j,k] err_k                                                                  (6)
        dE/dw[c,j]    += L_j ebar[c,j] + reg_j e[c,j]                                                        (7)
        dE/dw_out[j,k] += s_j err_k;   dE/db_k += c err_k                                                    (8)
        """
        signal = feedback @ err  # (6)
        w = signal * self.ebar + reg * self.e  # (7)
        out, b = np.outer(self.s, err), self.c * err  # (8)
        return present(net, {"w_in": w[: net.n_in], "w_rec": w[net.n_in :], "w_out": out, "b_out": b})


def eprop(net, w, x, target, mask=None, *, kind="mse", reg=None, feedback=None, reset_gradient=False, noise=None):
    """e-prop of order 1 on one trial, forward in time (equations in Traces).

    feedback [n, n_out] replaces w_out in the learning signal; None is symmetric. reg: a Rate or None.
    """
    w = plain(w)
    feedback = w["w_out"] if feedback is None else np.asarray(feedback, float)
    f, err, signal, loss, regularization = _trial(net, w, x, target, mask, kind, reg, noise)
    traces, steps = Traces(net), []
    for t in range(len(f.z)):
        traces.advance(net, Forward(*(a[t] for a in f)), reset_gradient)
        steps.append(traces.receive_gradient(net, err[t], feedback, signal[t]))
    per_step = {name: np.array([step[name] for step in steps]) for name in NAMES}
    gradient = {name: per_step[name].sum(0) for name in NAMES}
    return Result(gradient, loss, regularization, f, traces, per_step)


def bptt(
    net,
    w,
    x,
    target,
    mask=None,
    *,
    kind="mse",
    reg=None,
    feedback=None,
    reset_gradient=True,
    noise=None,
    method="adjoint",
    smooth=False,
):
    """The gradient through all paths of one trial, by "adjoint" (backward) or "influence" (forward, RTRL).

    feedback [n, n_out] replaces w_out where the readout's error reaches a neuron, never in a hop.
    """
    w = plain(w)
    feedback = w["w_out"] if feedback is None else np.asarray(feedback, float)
    f, err, signal, loss, regularization = _trial(net, w, x, target, mask, kind, reg, noise, smooth)
    rule = {"adjoint": _adjoint, "influence": _influence}[method]
    gradient = rule(net, w["w_rec"], f, err, signal, feedback, reset_gradient)
    return Result(present(net, gradient), loss, regularization, f)


def _adjoint(net, w_rec, f, err, reg, feedback, reset_gradient):
    """Backward pass: gv, ga, gz, gy are dE/dv[t] and so on; everything after the last step is 0.

    gy_k[t] = err_k[t] + kappa gy_k[t+1]                                                                     (1)
    gz_j[t] = readout_scale sum_k B[j,k] gy_k[t] + reg_j[t]
              + sum_l w_rec[j,l] zeta_l gv_l[t+d] + ga_j[t+1]   ( - thr_j gv_j[t+1] )                        (2)
    gv_j[t] = alpha_j gv_j[t+1] + psi_j[t] gz_j[t]                                                           (3)
    ga_j[t] = rho_j ga_j[t+1] - psi_j[t] beta_j gz_j[t]                                                      (4)
    dE/dw[c,j] = sum_t pre_c[t] zeta_j gv_j[t];   dE/dw_out[j,k] = readout_scale sum_t z_j[t] gy_k[t]        (5)
    """
    n_steps = len(f.z)
    gy = np.zeros((n_steps + 1, net.n_out))
    gv, ga = np.zeros((n_steps + net.delay, net.n)), np.zeros((n_steps + 1, net.n))
    for t in reversed(range(n_steps)):
        gy[t] = err[t] + net.kappa * gy[t + 1]  # (1)
        gz = net.readout_scale * feedback @ gy[t] + reg[t] + w_rec @ (net.zeta * gv[t + net.delay]) + ga[t + 1]  # (2)
        if reset_gradient:
            gz = gz - net.thr * gv[t + 1]  # (2)
        gv[t] = net.alpha * gv[t + 1] + f.psi[t] * gz  # (3)
        ga[t] = net.rho * ga[t + 1] - f.psi[t] * net.beta * gz  # (4)
    w = np.einsum("tc,j,tj->cj", f.pre, net.zeta, gv[:n_steps])  # (5)
    out = net.readout_scale * np.einsum("tj,tk->jk", f.z, gy[:n_steps])  # (5)
    return {"w_in": w[: net.n_in], "w_rec": w[net.n_in :], "w_out": out, "b_out": net.readout_scale * gy[:n_steps].sum(0)}


def _influence(net, w_rec, f, err, reg, feedback, reset_gradient):
    """Influence tensors P[l,c,j]: derivative of neuron (or readout) l by weight c -> j.

    Pv_l[t] = alpha_l Pv_l[t-1] + zeta_l (sum_q w_rec[q,l] Pz_q[t-d] + [l=j] pre_c[t])   ( - thr_l Pz_l[t-1] )   (1)
    Pa_l[t] = rho_l Pa_l[t-1] + Pz_l[t-1]                                                                    (2)
    Pz_l[t] = psi_l[t] (Pv_l[t] - beta_l Pa_l[t])                                                            (3)
    Py_k[t] = kappa Py_k[t-1] + readout_scale sum_l B[l,k] Pz_l[t]                                           (4)
    dE/dw   = sum_t sum_k err_k[t] Py_k[t] + sum_t sum_l reg_l[t] Pz_l[t]                                    (5)
    s_j[t]  = kappa s_j[t-1] + readout_scale z_j[t];   dE/dw_out[j,k] = sum_t s_j[t] err_k[t]                (6)
    c[t]    = kappa c[t-1] + readout_scale;            dE/db_k = sum_t c[t] err_k[t]                         (7)
    """
    n, n_pre = net.n, net.n_in + net.n
    shape, column = (n, n_pre, n), (slice(None), None, None)
    Pv, Pa, Py = np.zeros(shape), np.zeros(shape), np.zeros((net.n_out, n_pre, n))
    past = [np.zeros(shape)] * net.delay  # past[k]: Pz of k + 1 steps ago
    s, c, w, out, b = np.zeros(n), 0.0, np.zeros((n_pre, n)), np.zeros((n, net.n_out)), np.zeros(net.n_out)
    for t in range(len(f.z)):
        direct = np.einsum("lj,c->lcj", np.eye(n), f.pre[t])
        hop = np.einsum("ql,qcj->lcj", w_rec, past[-1])
        Pv = net.alpha[column] * Pv + net.zeta[column] * (hop + direct)  # (1)
        if reset_gradient:
            Pv = Pv - net.thr[column] * past[0]  # (1)
        Pa = net.rho[column] * Pa + past[0]  # (2)
        Pz = f.psi[t][column] * (Pv - net.beta[column] * Pa)  # (3)
        Py = net.kappa * Py + net.readout_scale * np.einsum("lk,lcj->kcj", feedback, Pz)  # (4)
        w += np.einsum("k,kcj->cj", err[t], Py) + np.einsum("l,lcj->cj", reg[t], Pz)  # (5)
        s = net.kappa * s + net.readout_scale * f.z[t]  # (6)
        c = net.kappa * c + net.readout_scale  # (7)
        out += np.outer(s, err[t])  # (6)
        b += c * err[t]  # (7)
        past = [Pz, *past[:-1]]
    return {"w_in": w[: net.n_in], "w_rec": w[net.n_in :], "w_out": out, "b_out": b}


# ----------------------------------------------------------------------------------------------------------- optimizers
class Optimizer:
    """One update, in this order; w is the weight before it.

    g  <- g min(1, clip_norm / |g|),  |g| over w_in, w_rec, w_out and b_out together           (1)
    w' <- w - lr[k] direction(g) - lr[k] weight_decay w          (b_out does not decay)        (2)
    w' <- clip(w', bounds)                                       (b_out has no bounds)         (3)
    w' <- 0 where there is no synapse                                                          (4)

    k counts the updates from 0; lr is a number or a function of k. bounds is a pair for the three weight matrices, or a dict
    of pairs by name. An adaptive feedback B goes through (2) and (3) as w_out does, with the gradient of w_out and moments
    of its own, and then both shrink: w_out <- (1 - feedback_decay) w_out, B <- (1 - feedback_decay) B.   (5)
    """

    def __init__(self, lr, *, weight_decay=0.0, bounds=None, clip_norm=None):
        self.lr, self.weight_decay, self.clip_norm, self.k = lr, weight_decay, clip_norm, 0
        self.bounds = bounds if isinstance(bounds, dict) or bounds is None else dict.fromkeys(NAMES[:3], bounds)

    def update(self, net, w, gradient, feedback=None, feedback_decay=0.0):
        """-> new weights, new adaptive feedback (None stays None). Counts the update."""
        g, w = plain(gradient), plain(w)
        if self.clip_norm is not None:
            norm = np.sqrt(sum(np.sum(g[name] ** 2) for name in NAMES))
            g = {name: g[name] * min(1.0, self.clip_norm / norm) if norm > 0 else g[name] for name in NAMES}  # (1)
        new = present(
            net, {name: self._stepped(name, name, w[name], g[name]) for name in NAMES[:3]} | {"b_out": w["b_out"]}
        )  # (4)
        if net.bias:
            new["b_out"] = self._stepped("b_out", "b_out", w["b_out"], g["b_out"])
        if feedback is not None:
            feedback = (1.0 - feedback_decay) * self._stepped("feedback", "w_out", feedback, g["w_out"])  # (5)
            new["w_out"] = (1.0 - feedback_decay) * new["w_out"]  # (5)
        self.k += 1
        return new, feedback

    def _stepped(self, key, name, w, g):
        lr = self.lr(self.k) if callable(self.lr) else self.lr
        new = w - lr * self.direction(key, g)  # (2)
        if name != "b_out":
            new = new - lr * self.weight_decay * w  # (2)
        low, high = (self.bounds or {}).get(name, (-np.inf, np.inf))
        return np.clip(new, low, high)  # (3)


class SGD(Optimizer):
    """u <- momentum u + g; direction = u."""

    def __init__(self, lr, *, momentum=0.0, **kwargs):
        super().__init__(lr, **kwargs)
        self.momentum, self.u = momentum, {}

    def direction(self, key, g):
        self.u[key] = self.momentum * self.u.get(key, 0.0) + g
        return self.u[key]


class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2;   k = 1, 2, ...                     (1)

    "standard":    direction = mhat / (sqrt(vhat) + eps),  mhat = m / (1 - b1^k),  vhat = v / (1 - b2^k)   (2)
    "tensorflow":  direction = sqrt(1 - b2^k) / (1 - b1^k) m / (sqrt(v) + eps)                 (3)
    """

    def __init__(self, lr, *, beta1=0.9, beta2=0.999, epsilon=1e-8, epsilon_form="standard", **kwargs):
        super().__init__(lr, **kwargs)
        self.beta1, self.beta2, self.epsilon, self.epsilon_form = beta1, beta2, epsilon, epsilon_form
        self.m, self.v = {}, {}

    def direction(self, key, g):
        b1, b2, k = self.beta1, self.beta2, self.k + 1
        self.m[key] = m = b1 * self.m.get(key, 0.0) + (1.0 - b1) * g  # (1)
        self.v[key] = v = b2 * self.v.get(key, 0.0) + (1.0 - b2) * g**2  # (1)
        if self.epsilon_form == "standard":
            return m / (1.0 - b1**k) / (np.sqrt(v / (1.0 - b2**k)) + self.epsilon)  # (2)
        return np.sqrt(1.0 - b2**k) / (1.0 - b1**k) * m / (np.sqrt(v) + self.epsilon)  # (3)


# ------------------------------------------------------------------------------------------------------ online learning
@dataclass
class Carry:
    """What a run needs to go on: state of each trial, and the update interval that is still open."""

    neurons: list
    traces: list
    rates: list  # r [n] of the running regulariser
    gradient: dict  # sum so far, averaged over trials
    n_steps: int  # steps of the open interval
    learnt: bool  # whether one of them learnt


class Trained(NamedTuple):
    w: dict
    feedback: np.ndarray | None  # the adaptive feedback after the run, the fixed one, or None
    loss: float  # task loss of these steps, averaged over trials
    losses: np.ndarray  # the same for each trial [trials]
    regularization: float  # E_reg averaged over trials; nan for a running rate
    z: np.ndarray  # [T, n], or [trials, T, n]
    y: np.ndarray  # [T, n_out], or [trials, T, n_out]
    gradients: list  # the averaged gradient of each update, before clipping
    carry: Carry


def train(
    net,
    w,
    x,
    target,
    mask=None,
    *,
    optimizer,
    kind="mse",
    update_every=None,
    reg=None,
    feedback=None,
    adaptive=False,
    feedback_decay=0.0,
    reset_gradient=False,
    noise=None,
    learns=None,
    carry=None,
    finish=True,
):
    """e-prop of order 1 with weights that change after every `update_every` steps (None: once, at the end).

    x [T, n_in] is one trial; a list of them (or [trials, T, n_in]) is a batch whose trials advance in lockstep, with the
    gradient of an interval averaged over them; target, mask and noise have the same leading axis. State and traces continue
    across updates. The run starts from the initial state unless `carry`, from an earlier result, continues it (pass the
    earlier result's w and feedback as well). finish: an interval that is still open at the last step ends there with an
    update; otherwise it stays open in the carry. The optimizer is stateful: give the same one to successive runs.

    feedback: None is the current w_out, an array is fixed, with `adaptive` it learns as w_out does.
    learns: [T] False in steps that add nothing to the gradient; an interval of such steps alone ends without an update.
    """
    single = np.ndim(x[0]) == 1
    if single:
        x, target, mask, noise = [x], [target], [mask], [noise]
    n_trials, n_steps = len(x), len(x[0])
    mask = [None] * n_trials if mask is None else mask
    noise = [None] * n_trials if noise is None else noise
    masks = [np.ones(n_steps) if m is None else np.asarray(m, float) for m in mask]
    noises = [np.zeros((n_steps, net.n)) if b is None else b for b in noise]
    targets = [np.asarray(y) if kind == "mse" else np.broadcast_to(y, n_steps) for y in target]
    per_trial_rate = reg is not None and reg.tau is None
    if per_trial_rate and not (carry is None and finish and (update_every is None or update_every >= n_steps)):
        raise ValueError("the mean rate of a trial is known at its end: use one update per trial, or Rate(tau=...)")
    if adaptive and feedback is None:
        raise ValueError("an adaptive feedback needs its initial value")

    w, feedback = plain(w), None if feedback is None else np.array(feedback, float)
    zero = {name: np.zeros_like(w[name]) for name in NAMES}
    if carry is None:
        neurons, traces, rates = [Neurons(net) for _ in x], [Traces(net) for _ in x], [np.zeros(net.n) for _ in x]
        total, n_open, learnt = zero, 0, False
    else:
        carry = copy_carry(carry)
        neurons, traces, rates, total = carry.neurons, carry.traces, carry.rates, carry.gradient
        n_open, learnt = carry.n_steps, carry.learnt
    e_sum = [np.zeros_like(trace.e) for trace in traces]
    losses, gradients = np.zeros(n_trials), []
    z, y = np.zeros((n_trials, n_steps, net.n)), np.zeros((n_trials, n_steps, net.n_out))
    regularization = 0.0 if reg is None or per_trial_rate else np.nan

    for t in range(n_steps):
        earned, learns_now = [], learns is None or bool(learns[t])
        learnt |= learns_now
        for b in range(n_trials):
            step = advance(net, w, neurons[b], np.asarray(x[b][t], float), noises[b][t])
            z[b, t], y[b, t] = step.z, step.y
            traces[b].advance(net, step, reset_gradient)
            err, loss = errors(step.y[None], targets[b][t : t + 1], masks[b][t : t + 1], kind)
            losses[b] += loss
            e_sum[b] += traces[b].e
            signal = np.zeros(net.n)
            if reg is not None and not per_trial_rate:
                decay = np.exp(-reg.dt / reg.tau)
                rates[b] = decay * rates[b] + (1.0 - decay) * step.z
                signal = running_signal(rates[b], *reg)
            on = float(learns_now)
            earned.append(traces[b].receive_gradient(net, on * err[0], w["w_out"] if feedback is None else feedback, on * signal))
        mean = average(earned)
        total = {name: total[name] + mean[name] for name in NAMES}
        n_open += 1
        last = finish and t == n_steps - 1
        if last and per_trial_rate:
            for b in range(n_trials):
                signals, energy = rate_signal(z[b], *reg)
                regularization += energy / n_trials
                extra = present(
                    net, zero | {"w_in": signals[0] * e_sum[b][: net.n_in], "w_rec": signals[0] * e_sum[b][net.n_in :]}
                )
                total = {name: total[name] + extra[name] / n_trials for name in NAMES}
        if last or n_open == update_every:
            if learnt:
                gradients.append(total)
                w, changed = optimizer.update(net, w, total, feedback if adaptive else None, feedback_decay)
                feedback = changed if adaptive else feedback
            total, n_open, learnt = zero, 0, False

    rest = Carry(neurons, traces, rates, total, n_open, learnt)
    if single:
        z, y = z[0], y[0]
    return Trained(w, feedback, losses.mean(), losses, regularization, z, y, gradients, rest)


def copy_carry(carry):
    """A carry that can be used without changing the first: `train` replaces arrays, it never writes into them."""

    def twin(state):
        new = object.__new__(type(state))
        new.__dict__.update(state.__dict__)
        return new

    neurons, traces = [twin(s) for s in carry.neurons], [twin(s) for s in carry.traces]
    return Carry(neurons, traces, list(carry.rates), carry.gradient, carry.n_steps, carry.learnt)


# ---------------------------------------------------------------------------------------------------- material for tests
class Case(NamedTuple):
    """A small live network and a trial (or, with n_trials, trials along a first axis)."""

    net: Net
    w: dict
    x: np.ndarray  # [T, n_in]
    target: np.ndarray  # [T, n_out], or labels [T]
    mask: np.ndarray  # [T], some of it 0
    kind: str
    reg: Rate
    feedback: np.ndarray  # [n, n_out]
    tau_m: np.ndarray  # [n] ms, of which alpha, rho and kappa are exp(-dt / tau); 0 where kappa = 0
    tau_a: np.ndarray
    tau_out: float

    @property
    def trial(self):
        """Arguments of eprop, bptt and train that follow net and w."""
        return {"x": self.x, "target": self.target, "mask": self.mask, "kind": self.kind, "reg": self.reg}

    def one(self, b):
        """Trial b of a case with n_trials, as a case of its own."""
        return self._replace(x=self.x[b], target=self.target[b], mask=self.mask[b])


def random_case(
    rng,
    *,
    n=6,
    n_in=4,
    n_out=2,
    T=40,
    kind="lif",
    density=1.0,
    density_in=1.0,
    self_connections=True,
    delay=1,
    n_ref=0,
    heterogeneous=False,
    kappa=0.8,
    loss="mse",
    surrogate="piecewise_linear",
    normalize_input=False,
    normalize_readout=False,
    bias=True,
    initial=False,
    analog=False,
    dt=1.0,
    leak=True,
    n_trials=None,
):
    """Draw a network that is live on its trial(s): neurons fire, gradients do not vanish, no |v - A| is below 1e-6.

    kind: "lif", "alif", or "mixed" (the first half LIF). heterogeneous: alpha, thr, rho, beta, gamma differ per neuron, and
    n_ref is between 0 and the given one. leak=False: neurons that integrate, alpha = 1. initial: v0, a0
    and a background current are not 0. analog: x is real-valued.
    Raises RuntimeError where 500 draws were not live.
    """
    gain = 1.0
    for _ in range(500):
        spread = (
            (lambda low, high: rng.uniform(low, high, n)) if heterogeneous else (lambda low, high: np.full(n, 0.5 * (low + high)))
        )
        tau_m, tau_a, thr = dt * spread(8.0, 20.0), dt * spread(20.0, 60.0), spread(0.4, 0.8)
        tau_m = tau_m if leak else np.full(n, np.inf)
        alpha, rho = np.exp(-dt / tau_m), np.exp(-dt / tau_a)
        conn_rec = rng.random((n, n)) < density
        if not self_connections:
            np.fill_diagonal(conn_rec, False)
        conn_in = rng.random((n_in, n)) < density_in
        adaptive = {"lif": np.zeros(n), "alif": np.ones(n), "mixed": np.arange(n) >= n // 2}[kind]
        net = Net(
            alpha=alpha,
            thr=thr,
            conn_rec=conn_rec,
            conn_in=conn_in,
            n_out=n_out,
            zeta=1.0 - alpha if normalize_input else 1.0,
            n_ref=rng.integers(0, n_ref + 1, n) if heterogeneous else n_ref,
            rho=rho,
            beta=adaptive * spread(0.05, 0.2),
            gamma=spread(0.3, 0.5),
            surrogate=surrogate,
            kappa=kappa,
            readout_scale=1.0 - kappa if normalize_readout else 1.0,
            delay=delay,
            current=0.05 * thr / (1.0 if not normalize_input else 1.0 - alpha) * rng.random(n) if initial else 0.0,
            v0=thr * rng.uniform(-0.5, 0.8, n) if initial else 0.0,
            a0=rng.random(n) if initial else 0.0,
            bias=bias,
        )
        scale = gain * thr / net.zeta
        w = {
            "w_in": scale * (0.2 + rng.standard_normal((n_in, n))) / np.sqrt(n_in * density_in) * conn_in,
            "w_rec": 0.7 * scale * rng.standard_normal((n, n)) / np.sqrt(n * max(density, 1.0 / n)) * conn_rec,
            "w_out": rng.standard_normal((n, n_out)) / np.sqrt(n),
            "b_out": 0.1 * rng.standard_normal(n_out) * bias,
        }
        shape = (n_trials or 1, T)
        x = rng.normal(0.2, 0.5, (*shape, n_in)) if analog else (rng.random((*shape, n_in)) < 0.3).astype(float)
        target = rng.standard_normal((*shape, n_out)) if loss == "mse" else rng.integers(0, n_out, shape)
        mask = rng.choice([0.0, 0.5, 1.0], shape, p=[0.2, 0.2, 0.6])
        feedback = rng.standard_normal((n, n_out)) / np.sqrt(n)
        reg, tau_out = Rate(100.0, 20.0, dt), 0.0 if kappa == 0 else -dt / np.log(kappa)
        case = Case(net, w, x, target, mask, loss, reg, feedback, tau_m, tau_a, tau_out)
        runs = [eprop(net, w, **case.one(b).trial) for b in range(shape[0])]
        rate = np.mean([run.forward.z for run in runs])
        if not 0.03 < rate < 0.4:
            gain *= 1.2 if rate < 0.2 else 1.0 / 1.2
        elif all(_is_live(net, run) for run in runs):
            return case if n_trials else case.one(0)
    raise RuntimeError("no live case in 500 draws")


def _is_live(net, run):
    f, g = run.forward, run.gradient
    firing, margin = (f.z.sum(0) >= 2).sum(), np.abs(f.v - f.A).min()
    wanted = ["w_in", "w_out"] + ["w_rec"] * bool(net.conn_rec.any())
    return firing >= min(net.n, max(2, net.n // 2)) and margin > 1e-6 and all(np.abs(g[k]).max() > 1e-6 for k in wanted)


def assert_live(gradient, z, names=("w_in", "w_rec", "w_out")):
    """The case is not vacuous: at least half the neurons fire, and every named gradient is above 1e-8. z [..., n]."""
    spikes = np.asarray(z).reshape(-1, np.shape(z)[-1]).sum(0)
    assert (spikes > 0).mean() >= 0.5, f"only {(spikes > 0).sum()} of {spikes.size} neurons fire"
    gradient = plain(gradient)
    for name in names:
        assert np.isfinite(gradient[name]).all(), f"the gradient of {name} is not finite"
        assert np.abs(gradient[name]).max() > 1e-8, f"the gradient of {name} vanishes"
