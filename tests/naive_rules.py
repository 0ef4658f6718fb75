"""Naive twins of the rules between e-prop and BPTT, and of those beside them: order m, SnAp-n, truncated BPTT, RFLO.

As `naive.py`: NumPy in float64, one loop over steps, weights [pre i, post j], nothing imported from the package. Each
rule is written from its definition; where it has two directions, both are here.

    order_m     e-prop of order m: influence graded by the recurrent synapses crossed, or graded adjoints
    snap        SnAp-n: influence on the neurons within n - 1 recurrent synapses; without n, RTRL
    truncated   BPTT within windows: influence that is forgotten at the borders, or adjoints that stop there
    rflo        e-prop that follows the leak alone

"c" stands for a presynaptic index (inputs, then recurrent neurons), "l" for the neuron that an influence has reached.
"""

import naive
import numpy as np


class _Sum:
    """Readout and sums that every influence rule shares. B [n, n_out]; Pz [l, c, j], derivative of z_l by c -> j.

    Py_k[t] = kappa Py_k[t-1] + readout_scale sum_l B[l,k] Pz_l[t]                                           (1)
    dE/dw  += sum_k err_k[t] Py_k[t] + sum_l reg_l[t] Pz_l[t]                                                (2)
    s_j[t]  = kappa s_j[t-1] + readout_scale z_j[t];   dE/dw_out[j,k] += s_j[t] err_k[t]                     (3)
    c[t]    = kappa c[t-1] + readout_scale;            dE/db_k += c[t] err_k[t]                              (4)
    """

    def __init__(self, net, feedback):
        self.net, self.feedback = net, feedback
        n_pre = net.n_in + net.n
        self.Py, self.s, self.c = np.zeros((net.n_out, n_pre, net.n)), np.zeros(net.n), 0.0
        shapes = {"w": (n_pre, net.n), "w_out": (net.n, net.n_out), "b_out": (net.n_out,)}
        self.sum = {name: np.zeros(shape) for name, shape in shapes.items()}

    def add(self, Pz, z, err, reg, readout=True):
        net = self.net
        self.Py = net.kappa * self.Py + net.readout_scale * np.einsum("lk,lcj->kcj", self.feedback, Pz)  # (1)
        earned = {"w": np.einsum("k,kcj->cj", err, self.Py) + np.einsum("l,lcj->cj", reg, Pz)}  # (2)
        if readout:
            self.s = net.kappa * self.s + net.readout_scale * z  # (3)
            self.c = net.kappa * self.c + net.readout_scale  # (4)
            earned |= {"w_out": np.outer(self.s, err), "b_out": self.c * err}  # (3) (4)
        for name, value in earned.items():
            self.sum[name] += value

    def forget(self):
        self.Py, self.s, self.c = 0.0 * self.Py, 0.0 * self.s, 0.0


def _found(net, sums, trial):
    """Result of arrays by name, with "w" [n_in + n, n] for both hidden matrices."""
    f, _, _, loss, regularization = trial
    gradient = {"w_in": sums["w"][: net.n_in], "w_rec": sums["w"][net.n_in :], "w_out": sums["w_out"], "b_out": sums["b_out"]}
    return naive.Result(naive.present(net, gradient), loss, regularization, f)


def _begin(net, w, x, target, mask, kind, reg, feedback, noise, smooth=False):
    """Weights, feedback, and the forward pass with what arrives from outside: (f, err, reg, E_task, E_reg)."""
    w = naive.plain(w)
    feedback = w["w_out"] if feedback is None else np.asarray(feedback, float)
    return w, feedback, naive._trial(net, w, x, target, mask, kind, reg, noise, smooth)


def order_m(
    net,
    w,
    x,
    target,
    mask=None,
    *,
    order,
    kind="mse",
    reg=None,
    feedback=None,
    reset_gradient=True,
    noise=None,
    method="influence",
):
    """e-prop of order m: all paths that cross at most m - 1 recurrent synapses after the weight acted.

    feedback [n, n_out] replaces w_out in the learning signal, never in a hop.
    """
    w, feedback, trial = _begin(net, w, x, target, mask, kind, reg, feedback, noise)
    rule = {"influence": _graded_influence, "adjoint": _graded_adjoint}[method]
    return _found(net, rule(net, w["w_rec"], trial, feedback, reset_gradient, order), trial)


def _graded_influence(net, w_rec, trial, feedback, reset_gradient, order):
    """P^g: the part of the influence that crossed g recurrent synapses; one sum (Py included) for each grade.

    Pv^g_l[t] = alpha_l Pv^g_l[t-1] + zeta_l (sum_q w_rec[q,l] Pz^(g-1)_q[t-d] + [g=0][l=j] pre_c[t])
                ( - thr_l Pz^g_l[t-1] )                                                                      (1)
    Pa^g_l[t] = rho_l Pa^g_l[t-1] + Pz^g_l[t-1]                                                              (2)
    Pz^g_l[t] = psi_l[t] (Pv^g_l[t] - beta_l Pa^g_l[t])                                                      (3)
    """
    f, err, reg, *_ = trial
    shape, column = (order, net.n, net.n_in + net.n, net.n), (slice(None), None, None)
    Pv, Pa, past = np.zeros(shape), np.zeros(shape), [np.zeros(shape)] * net.delay  # past[k]: Pz of k + 1 steps ago
    sums = [_Sum(net, feedback) for _ in range(order)]
    for t in range(len(f.z)):
        arriving = np.zeros(shape)
        arriving[0] = np.einsum("lj,c->lcj", np.eye(net.n), f.pre[t])
        for g in range(1, order):
            arriving[g] = np.einsum("ql,qcj->lcj", w_rec, past[-1][g - 1])
        Pv = net.alpha[column] * Pv + net.zeta[column] * arriving  # (1)
        if reset_gradient:
            Pv = Pv - net.thr[column] * past[0]  # (1)
        Pa = net.rho[column] * Pa + past[0]  # (2)
        Pz = f.psi[t][column] * (Pv - net.beta[column] * Pa)  # (3)
        for g in range(order):
            sums[g].add(Pz[g], f.z[t], err[t], reg[t], readout=g == 0)
        past = [Pz, *past[:-1]]
    return {name: sum(s.sum[name] for s in sums) for name in sums[0].sum}


def _graded_adjoint(net, w_rec, trial, feedback, reset_gradient, order):
    """Adjoints that are polynomials in a formal lambda, coefficients 0 .. order-1; a crossing multiplies by lambda.

    gy_k[t] = err_k[t] + kappa gy_k[t+1]                                                                     (1)
    gz_j[t] = readout_scale sum_k B[j,k] gy_k[t] + reg_j[t]
              + lambda sum_l w_rec[j,l] zeta_l gv_l[t+d] + ga_j[t+1]   ( - thr_j gv_j[t+1] )                 (2)
    gv_j[t] = alpha_j gv_j[t+1] + psi_j[t] gz_j[t]                                                           (3)
    ga_j[t] = rho_j ga_j[t+1] - psi_j[t] beta_j gz_j[t]                                                      (4)
    dE/dw[c,j] = sum_t pre_c[t] zeta_j gv_j[t] at lambda = 1;   w_out and b_out as in BPTT                   (5)
    """
    f, err, reg, *_ = trial
    n_steps = len(f.z)
    gy, gv = np.zeros((n_steps + 1, net.n_out)), np.zeros((n_steps + net.delay, order, net.n))
    ga = np.zeros((n_steps + 1, order, net.n))
    for t in reversed(range(n_steps)):
        gy[t] = err[t] + net.kappa * gy[t + 1]  # (1)
        gz = ga[t + 1].copy()  # (2)
        gz[0] += net.readout_scale * feedback @ gy[t] + reg[t]  # (2)
        gz[1:] += (net.zeta * gv[t + net.delay, :-1]) @ w_rec.T  # (2)
        if reset_gradient:
            gz -= net.thr * gv[t + 1]  # (2)
        gv[t] = net.alpha * gv[t + 1] + f.psi[t] * gz  # (3)
        ga[t] = net.rho * ga[t + 1] - f.psi[t] * net.beta * gz  # (4)
    return _earned(net, f, gv[:n_steps].sum(1), gy[:n_steps])


def _earned(net, f, gv, gy):
    """Gradient of adjoints gv [T, n] of v and gy [T, n_out] of y, as `_found` takes it."""
    return {
        "w": np.einsum("tc,j,tj->cj", f.pre, net.zeta, gv),
        "w_out": net.readout_scale * np.einsum("tj,tk->jk", f.z, gy),
        "b_out": net.readout_scale * gy.sum(0),
    }


def reached(conn_rec, hops):
    """keep[l, j]: neuron l is j, or is reached from j over at most so many recurrent synapses."""
    n = len(conn_rec)
    keep = np.eye(n, dtype=bool)
    for _ in range(hops):
        wider = keep.copy()
        for l in range(n):
            for q in range(n):
                if conn_rec[q, l]:
                    wider[l] |= keep[q]
        keep = wider
    return keep


def snap(
    net, w, x, target, mask=None, *, n=None, kind="mse", reg=None, feedback=None, reset_gradient=True, noise=None, smooth=False
):
    """SnAp-n: RTRL whose influence on neurons beyond n - 1 recurrent synapses is forgotten after every step.

    Pv, Pa, Pz as in RTRL (`naive._influence`), times keep[l, j] after every step; n None keeps all: RTRL      (1)
    """
    w, feedback, trial = _begin(net, w, x, target, mask, kind, reg, feedback, noise, smooth)
    f, err, reg, *_ = trial
    keep = np.ones((net.n, net.n)) if n is None else reached(net.conn_rec, n - 1).astype(float)
    total = _Sum(net, feedback)
    for t, Pz in enumerate(_influence(net, w["w_rec"], f, reset_gradient, keep[:, None, :])):  # (1)
        total.add(Pz, f.z[t], err[t], reg[t])
    return _found(net, total.sum, trial)


def truncated(
    net,
    w,
    x,
    target,
    mask=None,
    *,
    window,
    kind="mse",
    reg=None,
    feedback=None,
    reset_gradient=True,
    noise=None,
    method="influence",
):
    """BPTT with every path cut before the steps 0, window, 2 window, ...: v, a, spikes in flight and readout are constant."""
    w, feedback, trial = _begin(net, w, x, target, mask, kind, reg, feedback, noise)
    if method == "adjoint":
        return _found(net, _stopped_adjoint(net, w["w_rec"], trial, feedback, reset_gradient, window), trial)
    f, err, reg, *_ = trial
    total = _Sum(net, feedback)
    for t, Pz in enumerate(_influence(net, w["w_rec"], f, reset_gradient, 1.0, window)):
        if t % window == 0:
            total.forget()
        total.add(Pz, f.z[t], err[t], reg[t])
    return _found(net, total.sum, trial)


def _influence(net, w_rec, f, reset_gradient, keep, window=None):
    """Yields Pz[t]: the influence of RTRL, times `keep` after every step, from zero at every border of windows."""
    shape, column = (net.n, net.n_in + net.n, net.n), (slice(None), None, None)
    for t in range(len(f.z)):
        if t == 0 or (window is not None and t % window == 0):
            Pv, Pa, past = np.zeros(shape), np.zeros(shape), [np.zeros(shape)] * net.delay
        hop, direct = np.einsum("ql,qcj->lcj", w_rec, past[-1]), np.einsum("lj,c->lcj", np.eye(net.n), f.pre[t])
        Pv = net.alpha[column] * Pv + net.zeta[column] * (hop + direct)
        if reset_gradient:
            Pv = Pv - net.thr[column] * past[0]
        Pv, Pa = keep * Pv, keep * (net.rho[column] * Pa + past[0])
        Pz = f.psi[t][column] * (Pv - net.beta[column] * Pa)
        past = [Pz, *past[:-1]]
        yield Pz


def _stopped_adjoint(net, w_rec, trial, feedback, reset_gradient, window):
    """The adjoints of BPTT (`naive._adjoint`), where what would come back over a border is 0."""
    f, err, reg, *_ = trial
    n_steps = len(f.z)
    gy, gv, ga = (np.zeros((n_steps, k)) for k in (net.n_out, net.n, net.n))

    def later(g, t, steps):
        inside = t + steps < n_steps and (t + steps) // window == t // window
        return g[t + steps] if inside else np.zeros(g.shape[1])

    for t in reversed(range(n_steps)):
        gy[t] = err[t] + net.kappa * later(gy, t, 1)
        hop = w_rec @ (net.zeta * later(gv, t, net.delay))
        gz = net.readout_scale * feedback @ gy[t] + reg[t] + hop + later(ga, t, 1)
        if reset_gradient:
            gz = gz - net.thr * later(gv, t, 1)
        gv[t] = net.alpha * later(gv, t, 1) + f.psi[t] * gz
        ga[t] = net.rho * later(ga, t, 1) - f.psi[t] * net.beta * gz
    return _earned(net, f, gv, gy)


def rflo(net, w, x, target, mask=None, *, kind="mse", reg=None, feedback=None, noise=None):
    """RFLO: e[c,j] = psi_j[t] eps_v[c,j], with eps_v <- alpha_j eps_v + zeta_j pre_c[t], and on as in e-prop."""
    w, feedback, trial = _begin(net, w, x, target, mask, kind, reg, feedback, noise)
    f, err, reg, *_ = trial
    total, eps = _Sum(net, feedback), np.zeros((net.n_in + net.n, net.n))
    for t in range(len(f.z)):
        eps = net.alpha * eps + net.zeta * f.pre[t][:, None]
        total.add(np.einsum("lj,cj->lcj", np.eye(net.n), f.psi[t] * eps), f.z[t], err[t], reg[t])
    return _found(net, total.sum, trial)
