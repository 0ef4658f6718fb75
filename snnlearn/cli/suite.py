"""The command suite."""

from __future__ import annotations

import argparse

from .. import _check


def suite(options: argparse.Namespace) -> int:
    from ..experiments import suite_runs

    _check.integer("--seeds", options.seeds, "be a positive number", low=1)
    _check.threads("--threads", options.threads)
    methods = options.methods or (suite_runs.SHORT_METHODS if options.short else suite_runs.available_methods())
    names = options.names or (list(suite_runs.SHORT) if options.short else suite_runs.available_names())
    runs = suite_runs.measure(
        names,
        methods,
        range(options.seeds),
        threads=options.threads,
        share=suite_runs.SHARE if options.short else 1.0,
        path=options.out,
        told=lambda run: print(suite_runs.line(run), flush=True),
    )
    print()
    print(suite_runs.table(runs))
    return 0
