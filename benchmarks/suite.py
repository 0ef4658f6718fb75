"""The suite: every data set by e-prop with symmetric and random feedback, order 2 and BPTT, beside other methods, over seeds.

    python benchmarks/suite.py [NAME ...] [--seeds 10] [--methods eprop bptt gru] [--out benchmarks/results/suite.json]

Runs that the file holds are not repeated. Settings were chosen on validation splits with seed 0 and stand in
snnlearn/experiments/suite.py; the test split decides nothing. `--report` prints the table of the file and runs nothing.
`snnlearn suite` is the same without the file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snnlearn.experiments import suite_runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="data sets; default: those that are installed and take minutes")
    parser.add_argument("--methods", nargs="+", default=suite_runs.available_methods())
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="print the table of the file, run nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "suite.json")
    options = parser.parse_args()
    if options.report:
        print(suite_runs.table(suite_runs.load(options.out)))
        return
    seeds, names = range(options.first, options.first + options.seeds), options.names or suite_runs.available_names()
    measured = {"threads": options.threads, "path": options.out, "told": lambda run: print(suite_runs.line(run), flush=True)}
    print(suite_runs.table(suite_runs.measure(names, options.methods, seeds, **measured)))


if __name__ == "__main__":
    main()
