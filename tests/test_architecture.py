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


def ranks():
    """The line of the map that each part stands in, lowest first: by its name in front, or else where it is mentioned."""
    lines = re.findall(r"^ {4}(\w.*)$", sl.__doc__, re.MULTILINE)
    front = [re.match(r"[a-z_]+(?:, [a-z_]+)*", line).group().split(", ") for line in lines]
    found = {}
    for k, names in enumerate(front):
        for name in names:
            assert name not in found, f"{name} has two lines"
            found[name] = k
    for k, line in enumerate(lines):
        for name in re.findall(r"\w+", line):
            if name in PARTS:
                found.setdefault(name, k)
    return found


def part(module):
    return module.partition(".")[0]


PARTS = {part(name_of(path)) for path in PATHS} - {""}
BELOW = {name for name in PARTS if name.startswith("_") and name != "__main__"}  # everything else


def test_the_map_lists_every_part():
    assert len(PARTS) > 30
    assert set(ranks()) == PARTS - BELOW - {"__main__"}, "the docstring of snnlearn/__init__.py is the map of all parts"


def test_imports_point_down_the_map():
    rank = ranks() | dict.fromkeys(BELOW, -1)
    assert len(IMPORTS) > 100
    assert EXCEPTIONS <= {(part(found.source), part(found.target)) for found in IMPORTS if found.within}
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


def test_the_private_parts_of_numba_are_used_in_one_folder():
    private = re.compile(
        r"^\s*(?:from|import) +(?:numba\.(?:core|extending|np|misc|cpython)|llvmlite)\b|\bnumba\.(?:core|extending)\.", re.M
    )
    found = {path.relative_to(ROOT).parts[0] for path in PATHS if private.search(path.read_text(encoding="utf-8"))}
    assert found == {"compiler"}
