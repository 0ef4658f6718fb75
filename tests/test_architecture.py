"""The house: folders have an order, imports point one way, and each kind of thing is in its place."""

import ast
import graphlib
import pathlib
import re
from typing import NamedTuple

import snnlearn as sl

ROOT = pathlib.Path(sl.__file__).parent
# lowest first: a part imports only what stands before it
ORDER = (
    *(
        "_version",
        "_check",
        "_interrupts",
        "compiler",
        "neurons",
        "events",
        "encode",
        "losses",
        "network",
        "optimizers",
        "rules",
        "spec",
    ),
    *(
        "engine",
        "storage",
        "recording",
        "datasets",
        "tasks",
        "simulator",
        "runs",
        "analysis",
        "verification",
        "extend",
        "interop",
    ),
    *("experiments", "estimators", "torch", "plot", "cli"),
)
ROOT_MODULES = {"__init__", "__main__", "_check", "_interrupts", "_version", "events", "losses", "spec"}
# `Weights.load` opens a recording and Ctrl-C asks whether kernels compile: within a call, when both are there
REACHES_UP = {("network.weights", "snnlearn.recording"), ("_interrupts", "compiler.compilations")}
STANDALONE = {"storage": {"_check", "_interrupts", "storage"}, "compiler": {"_check", "compiler"}}  # know nothing of networks
LONGEST = 480  # lines of a file


class Import(NamedTuple):
    source: str  # module, as "recording.recorder"
    target: str


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}
MODULES = {name_of(path) for path in PATHS}
FOLDERS = {name_of(path) for path in PATHS if path.name == "__init__.py"} - {""}


def imports(path):
    """Every import of the package's own parts: also those within functions and those for type checkers."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *((node.module or "").split("."))]
            base = ".".join(part for part in base if part)
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                yield Import(name_of(path), full if full in MODULES else base)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "snnlearn":
            yield Import(name_of(path), "absolute: " + node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            if isinstance(node.args[0], ast.Constant) and str(node.args[0].value).startswith("snnlearn"):
                yield Import(name_of(path), node.args[0].value)


IMPORTS = {found for path in PATHS for found in imports(path) if name_of(path) not in ("", "__main__")} - REACHES_UP


def part(module):
    return module.partition(".")[0]


def test_every_part_has_a_place_in_the_order():
    assert set(ORDER) == {part(name) for name in MODULES} - {"", "__main__"}
    assert {path.stem for path in ROOT.glob("*.py")} == ROOT_MODULES, "a new module belongs in a folder"
    lines = re.findall(r"^ {4}(\w.*)$", sl.__doc__, re.MULTILINE)
    named = [name for line in lines for name in re.match(r"\w+(, \w+)*", line).group().split(", ")]
    assert tuple(named) == ORDER, "the docstring of snnlearn/__init__.py is the map, in this order"


def test_imports_point_one_way():
    rank = {name: k for k, name in enumerate(ORDER)}
    assert len(IMPORTS) > 500
    for source, target in IMPORTS:
        assert target, f"{source} imports from the package itself; name the module"
        assert part(target) in rank, f"{source} imports {target}"
        assert rank[part(target)] <= rank[part(source)], f"{source} imports {target}, which stands above it"
        allowed = STANDALONE.get(part(source))
        assert allowed is None or part(target) in allowed, f"{source} imports {target}; {part(source)} knows nothing of it"


def test_modules_have_no_circles():
    graph = {}
    for source, target in IMPORTS:
        if {source, target} & FOLDERS or source == target:  # a folder's face imports its modules
            continue
        graph.setdefault(source, set()).add(target)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert len(order) > 100


def test_folders_say_what_lives_there():
    for name in FOLDERS:
        path = ROOT.joinpath(*name.split(".")) / "__init__.py"
        assert (ast.get_docstring(TREES[path]) or "").strip(), f"{name} does not say what lives there"


def test_files_are_short():
    long = {name_of(path): n for path in PATHS if (n := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST}
    assert not long


def test_the_private_parts_of_numba_are_used_in_one_folder():
    private = re.compile(
        r"^\s*(?:from|import) +(?:numba\.(?:core|extending|np|misc|cpython)|llvmlite)\b|\bnumba\.(?:core|extending)\.", re.M
    )
    found = {path.relative_to(ROOT).parts[0] for path in PATHS if private.search(path.read_text(encoding="utf-8"))}
    assert found == {"compiler"}


def test_a_class_name_is_defined_once():
    """A name that means two things is looked up twice."""
    where = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(name_of(path))
    assert {name: places for name, places in where.items() if len(places) > 1} == {}


def test_what_runs_is_typed():
    """A parameter that is a simulator or an engine says so."""
    loose = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                    kind = "" if argument.annotation is None else ast.unparse(argument.annotation)
                    if argument.arg in ("simulator", "engine", "sim") and kind in ("", "Any"):
                        loose.append(f"{name_of(path)}.{node.name}")
    assert not loose
