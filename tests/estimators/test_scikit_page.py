"""The code of the page about scikit-learn runs as it stands; `tests/test_docs.py`, which cuts trainings short, leaves it out."""

import re

import pytest
from paths import ROOT

pytest.importorskip("sklearn")


def test_the_page_runs():
    page = (ROOT / "docs/how-to/scikit-learn.md").read_text(encoding="utf-8")
    blocks, names = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL), {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 4 and names["scores"].mean() > 0.9 and names["search"].best_score_ > 0.9
    assert names["model"].score(names["X"], names["y"]) > 0.95
