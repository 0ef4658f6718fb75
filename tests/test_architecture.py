"""Imports point one way: the map in the package's docstring is the order in which its parts build on each other."""

import ast
import graphlib
import pathlib
import re
from typing import NamedTuple

import snnlearn as sl

ROOT = pathlib.Path(sl.__file__).parent
# a convenience that reads a file: `Weights.load` opens the recording within the call
EXCEPTIONS = {("network", "recording")}


class Import(NamedTuple):
    source: str  # module, as "recording.writer"
    target: str
    within: bool  # a function, so that it is made when the function is called


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imports(path):
    """The relative imports of a file, but for those that only type checkers make."""
    package, found = path.relative_to(ROOT).parts[:-1], []

    def visit(node, within):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and child.level:
                base = [*package[: len(package) - child.level + 1], *(child.module or "").split(".")]
                base = [part for part in base if part]
                for alias in child.names:
                    target = ".".join([*base, alias.name])
                    found.append(Import(name_of(path), target if is_module(target) else ".".join(base), within))
            visit(child, within or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


PATHS = sorted(ROOT.rglob("*.py"))
IMPORTS = [found for path in PATHS for found in imports(path) if name_of(path) not in ("", "__main__")]


def order():
    """The parts of the package, lowest first, as its docstring lists them."""
    rows = re.findall(r"^ {4}([a-z_]+(?:, [a-z_]+)*)  ", sl.__doc__, re.MULTILINE)
    return [name for row in rows for name in row.split(", ")]


def part(module):
    return module.partition(".")[0]


def test_the_map_lists_every_part_once():
    parts = {part(name_of(path)) for path in PATHS} - {""}
    parts = {name for name in parts if not name.startswith("_")}  # which are below everything
    listed = order()
    assert len(listed) == len(set(listed))
    assert set(listed) == parts, "the docstring of snnlearn/__init__.py is the map: every part has its line, at its place"


def test_imports_point_down_the_map():
    below = {part(name_of(path)): -1 for path in PATHS if name_of(path).startswith("_")}
    rank = below | {name: k for k, name in enumerate(order())}
    assert len(IMPORTS) > 100
    for source, target, within in IMPORTS:
        if within and (part(source), part(target)) in EXCEPTIONS:
            continue
        assert target, f"{source} imports from the package itself; name the module"
        assert rank[part(target)] <= rank[part(source)], f"{source} imports {target}, which stands below it in the map"


def test_there_are_no_circles():
    """Modules of a folder have an order, too."""
    graph = {}
    for source, target, within in IMPORTS:
        if not within and target != source and part(source) != target:  # a folder's own face imports its modules
            graph.setdefault(source, set()).add(target)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert len(order) > 50
