"""Lets several threads run one trial: each has some of the neurons, with all synapses onto them.

A member of a team runs the block loop on arrays of its own neurons alone. What neurons tell each other goes through
`found`: after each step every member writes the numbers of its neurons that have spiked, all meet, and each reads what
all have written, in order; `found` has two sides that alternate, so that one meeting a step is enough. Neuron by neuron and
synapse by synapse the arithmetic is that of one thread, in the same order: results are the same bits.

The first member, who leads, also has what exists once: readout, errors and loss, and the readout's own learning. Members
meet before they read what it has written.
"""

from __future__ import annotations

import math
import os
import pathlib
from typing import NamedTuple

import numpy as np

from .dispatch import generic
from .intrinsics import add_and_get, peek, rest

PATIENCE = 30_000  # looks at the gate before a thread sleeps between them: longer than a nap, or one would follow from another
HASTE = 200  # the same where it has had to sleep before: the machine is busy, and who is waited for may need this core
AGAIN = 8  # meetings after which it is patient again
PAD = 16  # entries of eight bytes: numbers of different threads are kept apart
CGROUP = pathlib.Path("/sys/fs/cgroup/cpu.max")  # "quota period" in us, or "max period"; Linux


class Alone(NamedTuple):
    """Stands for a team where one thread has all neurons."""

    unused: int


class Team(NamedTuple):
    """A thread of several that share a trial, and the arrays through which they talk."""

    rank: int
    size: int
    first: int  # number of its first neuron
    gate: np.ndarray  # int64 [2 * PAD] arrivals at meetings; entry PAD: whether a member is missing
    found: np.ndarray  # int32 [2, size, n] numbers of the neurons that have spiked
    many: np.ndarray  # int64 [2, size, PAD] how many; -1 where a state is not finite
    patience: np.ndarray  # int64 [size, PAD] looks before a nap, for each member to change


ALONE = Alone(0)


def make_team(borders: np.ndarray) -> list[Team]:
    """Make the members of a team; member m has the neurons borders[m] .. borders[m + 1] - 1."""
    size = len(borders) - 1
    gate = np.zeros(2 * PAD, np.int64)
    found = np.zeros((2, size, int(np.diff(borders).max()) + 2 * PAD), np.int32)
    many = np.zeros((2, size, PAD), np.int64)
    patience = np.full((size, PAD), PATIENCE)
    return [Team(m, size, int(borders[m]), gate, found, many, patience) for m in range(size)]


@generic(1)
def leads(team):
    """Whether this thread leads: it alone computes readout, errors and loss."""


@leads.register(Alone)
def alone_leads(team):
    return True


@leads.register(Team)
def team_leads(team):
    return team.rank == 0


@generic(1)
def begins(team):
    """The number of this thread's first neuron."""


@begins.register(Alone)
def alone_begins(team):
    return 0


@begins.register(Team)
def team_begins(team):
    return team.first


@generic(1)
def meet(team):
    """Wait until all members have come here; what each has written before is then seen by all. False where one is missing."""


@meet.register(Alone)
def alone_meet(team):
    return True


@meet.register(Team)
def team_meet(team):
    come = add_and_get(team.gate, 0)
    wanted = (come + team.size - 1) // team.size * team.size
    looks, patience = 0, team.patience[team.rank, 0]
    if come // team.size % AGAIN == 0:
        patience = PATIENCE
    while peek(team.gate, 0) < wanted:
        if peek(team.gate, PAD) != 0:
            return False
        looks += 1
        rest(looks >= patience)
    team.patience[team.rank, 0] = HASTE if looks >= patience else patience
    return peek(team.gate, PAD) == 0


@generic(1)
def share(team, total):
    """Return (first, last): this thread does the entries first .. last - 1 of `total` that any thread may do."""


@share.register(Alone)
def alone_share(team, total):
    return 0, total


@share.register(Team)
def team_share(team, total):
    return total * team.rank // team.size, total * (team.rank + 1) // team.size


def cores() -> int:
    """Cores that this process may use: those it is bound to, no more than the share that a container grants it."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP.read_text().split()
        return max(1, min(bound, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return bound
