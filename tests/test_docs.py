"""The code of the documentation runs, and its pages are plain Markdown, in which links and equations hold and nothing is stale.

Every ```python block of a page runs, in order, in one namespace (```py blocks do not). A page runs in a process of its own
without the JIT, where a tiny case takes no time to compile, and in an empty folder. Trainings are cut to one trial, and those
of evidence accumulation to a short one.
"""

import os
import re
import subprocess
import sys

import gallery  # docs/_tools, see pyproject.toml
import pytest
import refresh
from markdown_it import MarkdownIt
from paths import ROOT

DOCS = ROOT / "docs"
PAGES = [page for page in refresh.pages() if page.parent.name != "katex"]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
CODE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHORT = """
import warnings
import snnlearn as sl
warnings.simplefilter("error")
warnings.simplefilter("ignore", sl.SilentNetworkWarning)
_evidence, _train = sl.tasks.EvidenceAccumulation, sl.Simulator.train
def _brief(**options):
    return _evidence(**options | {"cue_duration": 20.0, "cue_spacing": 10.0, "delay": 10.0, "window": 20.0})
sl.tasks.EvidenceAccumulation = _brief
def _short(self, task=None, trials=None, batch=1, recorder=None, **options):
    options["evaluate_trials"] = 1
    if options.get("evaluate_every"):
        options["evaluate_every"] = 1
    return _train(self, task, 1, 1, recorder, **options)
sl.Simulator.train = _short
_evaluate = sl.Simulator.evaluate
sl.Simulator.evaluate = lambda self, task, trials=None, split="test": _evaluate(self, task, 1, split)
import matplotlib
matplotlib.use("Agg")
"""


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run(source, folder, **env):
    command = [sys.executable, "-c", source]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | env, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_page_runs(page, tmp_path):
    # classes of the page need a file, from which Numba and dataclasses take their sources
    (tmp_path / "page.py").write_text(SHORT + "\n".join(blocks(page)), encoding="utf-8")
    run("import page", tmp_path, NUMBA_DISABLE_JIT="1", PYTHONPATH=str(ROOT))


@pytest.mark.slow
def test_own_data_is_learnt(tmp_path):
    """The page's trainings, in full, end at figures like those that it prints."""
    source = "\n".join(blocks(DOCS / "how-to" / "own-data.md"))
    source += """
assert gestures.score >= 0.9, gestures
assert followed.score <= 0.05, followed
assert arrays.accuracy >= 0.9, arrays
assert counting.score >= 0.9, counting
"""
    (tmp_path / "page.py").write_text("import warnings\nwarnings.simplefilter('error')\n" + source, encoding="utf-8")
    run("import page", tmp_path, PYTHONPATH=str(ROOT))


@pytest.mark.slow
def test_a_rule_from_outside_compiles(tmp_path):
    """The worked example up to its check, with the JIT; `test_neurons.py` does the same with a neuron model."""
    parts = blocks(DOCS / "extend" / "rule.md")
    last = next(k for k, part in enumerate(parts) if "sl.gradient" in part)
    (tmp_path / "page.py").write_text("\n".join(parts[: last + 1]), encoding="utf-8")
    run("import page", tmp_path, PYTHONPATH=str(ROOT))


def test_readme_and_pages_name_files_that_exist():
    """Paths of the repository in `code` of prose."""
    found = 0
    for page in PAGES:
        for name in re.findall(r"`((?:snnlearn|tests|notebooks|benchmarks|docs|data)/[\w/.]+\.\w+)`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"
            found += 1
    assert found > 10


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_is_generated_is_fresh(page):
    """Otherwise: python docs/_tools/refresh.py"""
    assert page.read_text("utf-8") == refresh.refreshed(page)
    for path, content in refresh.figures(page):
        assert path.read_bytes() == content, f"{path.name} is not the notebook's figure any more"


def test_figures_of_plots_are_drawn_by_the_code_beside_them():
    """Otherwise: python docs/_tools/gallery.py"""
    figures = [(path, mark) for _, path, mark in gallery.parts() if path]
    assert len(figures) > 10
    assert [path.name for path, mark in figures if not gallery.is_fresh(path, mark)] == []


def test_the_figure_of_speed_is_of_the_table_on_its_page():
    image = pytest.importorskip("PIL.Image")
    with image.open(DOCS / "img" / "speed.png") as picture:
        drawn = {tuple(line.split("; ")[:3]): line.split("; ")[3] for line in picture.info["Description"].splitlines()}
    text = (DOCS / "performance.md").read_text("utf-8").partition("One thread:")[2].partition("Two threads:")[0]
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    table = {tuple(row[:3]): row[3] for row in rows if len(row) > 4 and row[0] != "case"}
    assert drawn == {key: seconds for key, seconds in table.items() if key in drawn} and len(drawn) == 18
    assert {key for key in table if key[2] == "learning"} <= drawn.keys()


def test_every_figure_is_on_a_page():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert [path.name for path in sorted((DOCS / "img").iterdir()) if f"img/{path.name})" not in text] == []


def test_refresh_notices_what_is_stale(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- generated: taxonomy -->\n\n| stale |\n\n<!-- end -->\n\nafter\n", "utf-8")
    fresh = refresh.refreshed(page)
    assert "stale" not in fresh and "| `rtrl` | forward |" in fresh
    assert fresh.startswith("before") and fresh.endswith("<!-- end -->\n\nafter\n")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_page_is_plain_markdown(page):
    """Code hosts show it as it is: nothing that only the site's tools understand."""
    text = CODE.sub("", page.read_text("utf-8"))
    for mark in (":::", "--8<--", "\\(", "\\[", "!!!", "$$"):
        assert mark not in text, f"{mark} shows as it stands"
    title, _, rest = text.partition("\n")
    assert title.startswith("# ") and "\n# " not in rest
    assert re.match(r"\n\w", rest), "a page begins with a sentence that says what it is for"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_equations_survive_markdown(page):
    """Hosts that take Markdown's marks first leave every $equation$ as it is written: no underscores and stars that pair up."""
    text = page.read_text("utf-8")
    equations = re.findall(r"\$[^$\n]+\$", re.sub(r"`[^`\n]*`", "", CODE.sub("", text)))
    for paragraph in re.sub(r"`[^`\n]*`", "", CODE.sub("", text)).split("\n"):
        assert paragraph.count("$") % 2 == 0, f"an equation goes over the end of a line: {paragraph}"
    shown = "\n".join(
        "".join(part.content if part.type == "text" else f"<{part.type}>" for part in token.children)
        for token in MarkdownIt("commonmark").enable("table").parse(text)
        if token.type == "inline"
    )
    assert [e for e in equations if e not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    text = CODE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\((?!\w+:)([^()\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", CODE.sub("", file.read_text("utf-8")), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings], f"{target} leads nowhere"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_code_is_not_wider_than_a_page(page):
    for language, code in CODE.findall(page.read_text("utf-8")):
        if (page.name, language) != ("README.md", "sh"):  # whose commands stand on one line each
            assert [line for line in code.splitlines() if len(line) > 88] == []


def test_the_readme_leads_to_every_page():
    text = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in NAMES if name != "README.md" and f"]({name}" not in text] == []
    assert [nb.name for nb in sorted((ROOT / "notebooks").glob("*.ipynb")) if f"](notebooks/{nb.name})" not in text] == []


def test_the_site_needs_no_network():
    """Its scripts, styles and fonts are in docs/; the theme takes its fonts from the reader's machine."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "font: false" in text and "://" not in text
    for name in re.findall(r"[\w/.]+\.(?:js|css)\b", text):
        own = (DOCS / name).read_text("utf-8")
        assert not re.search(r"url\(['\"]?\w+:|@import|src *= *['\"]\w+:", own), f"{name} loads something from elsewhere"
    assert len(list((DOCS / "katex" / "fonts").glob("*.woff2"))) == 20
