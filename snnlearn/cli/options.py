"""What the options of a command mean: the recipe of a task."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .. import _check

if TYPE_CHECKING:
    from ..experiments.config import Config

MOST = 2**53  # of a number of trials: one that a float tells from its neighbours


def recipe_of(options: argparse.Namespace) -> Config:
    """The configuration that a task's recipe makes of the options of `parser.add_recipe`."""
    from ..experiments.recipes import choose

    make = choose(options.task, options.data, options.test, options.run.__name__)
    if options.data is None:
        for name in ("dt", "downsample", "cache"):
            if getattr(options, name) is not None:
                raise _check.fail(f"--{name}", "come with --data", getattr(options, name))
    if options.coding is not None and options.task != "digits":
        raise _check.fail("--coding", "be used with the task digits", options.task)
    if options.trials is not None and options.iterations is not None:
        raise _check.fail("--iterations", "come without --trials, of which it is the number in updates", options.iterations)
    names = ("neurons", "trials", "iterations", "batch", "lr", "coding", "dt", "downsample", "cache")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    for name in ("neurons", "trials", "iterations", "batch", "downsample"):
        if name in given:
            least, most = (2, _check.MOST) if name == "neurons" else (1, MOST)
            need = "be a positive number" if least == 1 else f"be a number >= {least}"
            _check.at_most(f"--{name}", given[name], most, need, least)
    for name in ("lr", "dt"):
        if name in given:
            _check.number(f"--{name}", given[name], "be a positive number", low=0.0, strict=True)
    update_every = options.update_every
    if update_every != "trial":
        if not update_every.isdigit():
            raise _check.fail("--update-every", "be 'trial' or a positive number of steps", update_every)
        update_every = int(update_every)
    kept = {name: getattr(options, name) for name in ("rule", "feedback", "seed", "dtype")}
    kept |= {name: getattr(options, name, None) for name in ("stop", "checkpoint_every", "keep_every")}  # of `train`
    return make(**given, **kept, update_every=update_every)
