"""A naive twin of rewiring (DEEP R): dictionaries from places to numbers, Python's integers, nothing imported from the package.

A matrix is {(pre, post): {"w": weight, "s": sign, ...}}; what else a synapse carries moves with it because it stands in the same
dictionary. Numbers are those of a counter: no generator has a state.
"""

import math

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x):
    """SplitMix64's finaliser."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def word(key, counter):
    return mix((key + (counter + 1) * GOLDEN) & MASK)


def key_of(seed, stream, update):
    key = mix((seed + GOLDEN) & MASK)
    key = mix((key + stream + GOLDEN) & MASK)
    return mix((key + update + GOLDEN) & MASK)


def noise(key, place):
    """The sum of eight 16-bit numbers, with mean 0 and variance 1."""
    total = 0
    for k in range(2):
        bits = word(key, 2 * place + k)
        total += sum((bits >> shift) & 0xFFFF for shift in (0, 16, 32, 48))
    return (total - 4 * 65535) / math.sqrt(8 * (65536**2 - 1) / 12)


def coin(key, place):
    return 1 if word(key, place) >> 63 else -1


def first_sign(w, seed, matrix, place, low=-math.inf, high=math.inf):
    if w != 0:
        return 1 if w > 0 else -1
    return 1 if low >= 0 else -1 if high <= 0 else coin(key_of(seed, 4 + matrix, 0), place)


def distinct(key, free, n):
    """The first n distinct numbers below `free` that the counter gives; of more than half, those that are left over."""
    if n > free // 2:
        return sorted(set(range(free)) - set(distinct(key, free, free - n)))
    found, counter = set(), 0
    while len(found) < n:
        found.add(word(key, counter) % free)
        counter += 1
    return sorted(found)


def rewire(synapses, shape, update, seed, matrix, *, shrink, spread, allowed, low=-math.inf, high=math.inf, fresh=None):
    """One rewiring; returns the synapses after it, and the places that died and were born.

    shrink : eta l1; spread : sqrt(2 eta temperature); allowed : function of (pre, post), whether a synapse may stand there
    fresh : what a new synapse carries besides weight and sign, {"first": 0.0}
    """
    n_post, result, dead = shape[1], {}, []
    key = key_of(seed, matrix, update)
    for pre, post in sorted(synapses):
        one = dict(synapses[pre, post])
        nu = noise(key, pre * n_post + post) if spread else 0.0
        one["w"] = one["w"] - shrink * one["s"] + spread * nu
        if one["s"] * one["w"] < 0:
            dead.append((pre, post))
        else:
            one["w"] = min(max(one["w"], low), high)
        result[pre, post] = one
    places = [(i, j) for i in range(shape[0]) for j in range(n_post)]
    free = [place for place in places if place not in synapses and allowed(*place)]
    for place in dead[len(free) :]:  # there is no room elsewhere: they stay
        result[place]["w"] = 0.0
    dead = dead[: len(free)]
    for place in dead:
        del result[place]
    born = [free[rank] for rank in distinct(key_of(seed, 2 + matrix, update), len(free), len(dead))] if dead else []
    for pre, post in born:
        coins = key_of(seed, 4 + matrix, update)
        sign = 1 if low >= 0 else -1 if high <= 0 else coin(coins, pre * n_post + post)
        result[pre, post] = {"w": 0.0, "s": sign} | dict(fresh or {})
    return result, dead, born
