"""Equations have numbers, and a number stands at the code that computes it: in the file, or in one that its docstring names."""

import ast
import io
import pathlib
import re
import tokenize

import pytest

import snnlearn as sl

ROOT = pathlib.Path(sl.__file__).parent
FILES = sorted(p for folder in ("neurons", "rules") for p in (ROOT / folder).rglob("*.py") if p.name != "__init__.py")


def numbers(text):
    return {int(n) for n in re.findall(r"\((\d+)\)", text)}


def equations(path):
    """Numbers at the ends of indented lines of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text, numbers("\n".join(re.findall(r"^ {4,}.*?(\(\d+\))\s*(?:$|\(?[A-Z])", text, re.M)))


def comments(path):
    """Numbers in the comments and the functions' docstrings of a file."""
    source = path.read_text("utf-8")
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found |= numbers(token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found |= numbers(ast.get_docstring(node) or "")
    return found


def test_models_and_rules_have_equations():
    with_some = {path.stem for path in FILES if equations(path)[1]}
    assert {
        "lif",
        "alif",
        "cuba",
        "eprop",
        "bptt",
        "rtrl",
        "rflo",
        "uoro",
        "traces",
        "interval",
        "adjoint",
        "influence",
    } <= with_some


@pytest.mark.parametrize("path", [p for p in FILES if equations(p)[1]], ids=lambda p: p.stem)
def test_every_number_stands_at_its_code(path):
    text, wanted = equations(path)
    places = [path, *(ROOT / "rules" / name for name in re.findall(r"`(engines/\w+\.py)`", text))]
    found = set().union(*(comments(place) for place in places))
    assert wanted <= found, f"no code of {[p.name for p in places]} has {sorted(wanted - found)}"


@pytest.mark.parametrize("name", ["eprop", "bptt", "rtrl"])
def test_a_table_says_which_engine_runs(name):
    text = equations(ROOT / "rules" / f"{name}.py")[0]
    table = re.findall(r"^ {4}.*\bengines/(\w+)\.py", text, re.M)
    assert table and all((ROOT / "rules" / "engines" / f"{engine}.py").is_file() for engine in table)
