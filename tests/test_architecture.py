"""The rooms keep their ranks, `protocol` stays pure, each single door has one owner.

Read from the source by ast, so that a violation shows without running anything.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room imports only lower ranks, and itself. The same as in telemetry/__init__.py.
RANKS = {
    "protocol": 0,
    "conf": 1,
    "counters": 1,
    "threads": 1,
    "patience": 1,
    "bus": 2,
    "devices": 3,
    "history": 4,
    "alerts": 5,
    "downlink": 5,
    "ingest": 6,
    "live": 7,
    "api": 7,
    "dashboard": 7,
    "ops": 7,
    "jobs": 7,
    "hub": 8,
    # Devices in software: clients of the wire; its demo makes rows for them.
    "fleet": 8,
    "management": 9,
}
# Tables of contents and the app's own entry points may name every room.
INDEXES = {"models", "admin", "urls", "routing", "apps", "checks", "migrations", ""}
# What pure files may not know.
IMPURE = ("django", "channels", "redis", "asyncio", "logging", "os", "socket")


@dataclass(frozen=True)
class Import:
    """One imported module, seen from one line of one file."""

    module: str
    imported: str
    line: int
    is_top_level: bool
    has_comment: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path
    for folder in ("telemetry", "hub_project")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def absolute(module: str, node: ast.ImportFrom) -> str:
    """The full name of what a `from … import` names."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    is_package = SOURCES[module].name == "__init__.py"
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *filter(None, [node.module])])


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node: ast.AST, depth: int = 0) -> Iterator[tuple[ast.AST, int]]:
    """Every node that runs, with the number of functions around it."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield child, depth
        yield from walk(child, depth + is_function)


def imports(module: str) -> Iterator[Import]:
    text = SOURCES[module].read_text()
    lines = text.splitlines()
    for node, depth in walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            # `from .room import module` names a module, `import name` a value.
            names = [
                full if (full := f"{base}.{alias.name}") in SOURCES else base
                for alias in node.names
            ]
        else:
            continue
        line = node.lineno
        has_comment = "#" in lines[line - 1] or lines[line - 2].strip().startswith("#")
        for name in names:
            yield Import(module, name, line, not depth, has_comment)


@functools.cache
def all_imports() -> list[Import]:
    """Those of all modules; not read before a test wants them."""
    return [each for module in SOURCES for each in imports(module)]


def room(module: str) -> str:
    return (module.split(".") + [""])[1]


def is_index(module: str) -> bool:
    """Indexes and each room's admin stand above all rooms."""
    return room(module) in INDEXES or module.endswith(".admin")


def place(each: Import) -> str:
    return f"{each.module}:{each.line} imports {each.imported}"


def test_every_room_has_a_rank():
    rooms = {room(module) for module in SOURCES if module.startswith("telemetry")}
    assert rooms - INDEXES <= set(RANKS)


def test_a_room_imports_only_lower_ranks():
    wrong = [
        place(each)
        for each in all_imports()
        if each.module.startswith("telemetry")
        and each.imported.startswith("telemetry.")
        and not is_index(each.module)
        and room(each.module) != room(each.imported)
        and (
            is_index(each.imported)
            or RANKS[room(each.imported)] >= RANKS[room(each.module)]
        )
    ]
    assert wrong == []


def test_only_the_top_knows_the_project():
    wrong = [
        place(each)
        for each in all_imports()
        if each.module.startswith("telemetry")
        and each.imported.startswith("hub_project")
        and room(each.module) != "management"
    ]
    assert wrong == []


def test_protocol_is_pure():
    wrong = [
        place(each)
        for each in all_imports()
        if room(each.module) == "protocol" and each.imported.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_no_cycle_between_modules():
    graph: dict[str, set[str]] = {module: set() for module in SOURCES}
    for each in all_imports():
        if each.imported in SOURCES and each.imported != each.module:
            graph[each.module].add(each.imported)
    while leaves := [module for module, needs in graph.items() if not needs]:
        for leaf in leaves:
            del graph[leaf]
        for needs in graph.values():
            needs.difference_update(leaves)
    assert graph == {}


def test_an_import_inside_a_function_says_why():
    wrong = [
        place(each)
        for each in all_imports()
        if not each.is_top_level and not each.has_comment
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "names, owner",
    [
        # The switchboard is the process's one user of the channel layer.
        ({"get_channel_layer"}, "telemetry.bus"),
        # Device keys are hashed and compared in one place.
        ({"sha256", "compare_digest"}, "telemetry.devices.credentials"),
        # Raw SQL only where the ORM cannot say it.
        ({"cursor", "raw", "RawSQL", "executescript"}, "telemetry.history"),
    ],
    ids=["channel layer", "device keys", "raw SQL"],
)
def test_single_door(names, owner):
    # These hash settings and files, never keys.
    others = {
        *("telemetry.management.setup", "hub_project.settings"),
        "telemetry.history.backup.archive",
        # A lock of PostgreSQL, for which the ORM has no word.
        "telemetry.devices.events",
    }
    wrong = [
        f"{module}:{node.lineno} calls {called(node)}"
        for module, path in SOURCES.items()
        if not module.startswith(owner) and module not in others
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and called(node) in names
    ]
    assert wrong == []


def called(node: ast.Call) -> str:
    """The last name of what is called: `f` of `f()` and of `a.b.f()`."""
    return ast.unparse(node.func).rpartition(".")[2]


def test_every_module_says_its_job():
    missing = [
        module
        for module, path in SOURCES.items()
        if ".migrations" not in module
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert missing == []
