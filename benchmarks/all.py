"""Every benchmark that needs nothing but the package, one table after the other: about twenty minutes.

    python benchmarks/all.py [--only eprop,rules]

Each table stands under the command that prints it alone. `systems.py`, beside other simulators, and `learning.py`, which
trains for hours, are left out.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

COMMANDS = {
    "eprop": [],
    "rules": [],
    "step": [],
    "large": ["--neurons", "1e5"],
    "recording": [],
    "checkpoint": [],
    "reading": [],
    "sweep": [],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default=",".join(COMMANDS), help="names, as eprop,rules")
    failed = 0
    for name in parser.parse_args().only.split(","):
        if name not in COMMANDS:
            parser.error(f"--only must name some of {', '.join(COMMANDS)} (got {name!r})")
        command = [sys.executable, str(pathlib.Path(__file__).with_name(f"{name}.py")), *COMMANDS[name]]
        print(f"\n$ python benchmarks/{name}.py {' '.join(COMMANDS[name])}".rstrip(), flush=True)
        failed += subprocess.run(command).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
