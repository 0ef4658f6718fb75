"""The code of the page about PyTorch runs; `tests/test_docs.py` leaves it out, because torch need not be there."""

import re

import pytest
from paths import ROOT

pytest.importorskip("torch")


def test_the_page_runs():
    page = (ROOT / "docs/how-to/pytorch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names = {}
    for block in blocks:
        exec(block.replace("range(100)", "range(2)").replace("randn(64, 80, 3)", "randn(4, 6, 3)"), names)
    assert len(blocks) == 2 and names["y"].shape == (4, 6, 10)
