"""``python -m snnlearn`` is the command `snnlearn`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
