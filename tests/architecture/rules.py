# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the collection's architecture, checked by reading the code and never by running it.

Each rule is a function from one parsed file to the violations in it, so that a test can hand it a bad snippet and see
that it fails. Paths are relative to the checkout's root, with slashes.
"""

from __future__ import annotations

import ast
import functools
import sys
import typing as t
from dataclasses import dataclass

from tests.architecture import committed
from tests.architecture.committed import ROOT

COLLECTION = "ansible_collections.lifeboat.recovery"
ENGINE = "plugins/module_utils/_engine"

MAIN_LINES = 40
FILE_LINES = 500
# A catalogue grows by rows and not by concepts; the page of error codes is generated from this one.
CATALOGUES: t.Final = frozenset({f"{ENGINE}/core/errors.py"})

# A room imports its own files and rooms of a lower level. Rooms of one level never import one another: the databases
# stay apart, and so do moving bytes and keeping them.
LEVELS: t.Final[dict[str, int]] = {
    "core": 0,
    "pipeline": 1,
    "storage": 1,
    "catalog": 2,
    "streams": 3,
    "recovery": 4,
    "mongodb": 5,
    "postgresql": 5,
    "redis": 5,
    "files": 5,
    "dns": 5,
    "retention": 6,
    "failover": 6,
    "degraded": 6,
    "readiness": 6,
    "verify": 6,
    "notify": 5,
    "operations": 7,
    "report": 8,
    "cli_options": 8,
    "cli_telling": 8,
    "cli_backup": 9,
    "cli_list": 9,
    "cli_config": 9,
    "cli_verify": 9,
    "cli_restore": 9,
    "cli_recover": 9,
    "cli_damage": 9,
    "cli_fetch": 9,
    "cli_ship": 9,
    "cli_prune": 9,
    "cli_repo": 9,
    "cli_lease": 9,
    "cli_evidence": 9,
    "cli_status": 9,
    "cli_failover": 10,
    "cli_metrics": 10,
    "cli_notify": 10,
    "cli_commands": 11,
    "cli": 12,
    "__main__": 13,
}

# Libraries that a host has when it runs the engine they are for. botocore brings urllib3.
LIBRARIES: t.Final = frozenset(
    {
        "bson",
        "boto3",
        "botocore",
        "cronsim",
        "dns",
        "anycrc",
        "apprise",
        "jsonschema",
        "psycopg2",
        "pymongo",
        "redis",
        "s3transfer",
        "urllib3",
        "yaml",
        "zstandard",
    }
)

# What would import by a name that AnsiballZ can't see, and therefore doesn't ship to the target.
DYNAMIC_MODULES: t.Final = frozenset({"imp", "importlib", "pkgutil", "runpy", "zipimport"})
DYNAMIC_CALLS: t.Final = frozenset({"__import__", "compile", "eval", "exec"})

MAY_IMPORT_ANSIBLE: t.Final = (
    "plugins/action/",
    "plugins/filter/",
    "plugins/lookup/",
    "plugins/modules/",
    "plugins/test/",
    "plugins/module_utils/_argspec.py",
    "plugins/module_utils/_module.py",
)


@dataclass(frozen=True)
class SourceFile:
    """One Python file, parsed."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> SourceFile:
        """The file at *path* (relative to the root), read as *text*."""
        return cls(path, text, ast.parse(text, filename=path))

    @property
    def is_engine(self) -> bool:
        """Whether it belongs to the pure engine."""
        return self.path.startswith(ENGINE + "/")


@dataclass(frozen=True)
class Import:
    """One imported name: ``from ..core.errors import LockHeld`` is ``core.errors.LockHeld`` with level 2."""

    line: int
    level: int
    name: str
    in_function: bool
    for_types_only: bool

    @property
    def top(self) -> str:
        """The package that is imported from."""
        return self.name.split(".", maxsplit=1)[0]


@dataclass(frozen=True, order=True)
class Violation:
    """One broken rule, as an editor can jump to it."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def imports(tree: ast.Module) -> list[Import]:
    """Every import statement of a file, wherever it stands."""
    found: list[Import] = []

    def visit(node: ast.AST, *, in_function: bool, for_types_only: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(node.lineno, 0, alias.name, in_function, for_types_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{node.module}." if node.module else ""
            found.extend(
                Import(node.lineno, node.level, prefix + alias.name, in_function, for_types_only)
                for alias in node.names
            )
        inside = in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.If):
            is_guard = _is_type_checking(node.test)
            for statement in node.body:
                visit(statement, in_function=inside, for_types_only=for_types_only or is_guard)
            for statement in node.orelse:
                visit(statement, in_function=inside, for_types_only=for_types_only)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, in_function=inside, for_types_only=for_types_only)

    visit(tree, in_function=False, for_types_only=False)
    return found


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


# --- imports ----------------------------------------------------------------------------------------------------


def ansible_stays_outside(file: SourceFile) -> t.Iterator[Violation]:
    """Only modules, action and filter plugins and the two adapters know Ansible."""
    if not file.path.startswith("plugins/") or file.path.startswith(MAY_IMPORT_ANSIBLE):
        return
    for item in imports(file.tree):
        if item.for_types_only and not file.is_engine:
            continue
        if item.level == 0 and item.top in {"ansible", "ansible_collections"}:
            yield Violation(file.path, item.line, f"imports {item.name}: only modules and _module.py, _argspec.py may")


def modules_import_what_is_shipped(file: SourceFile) -> t.Iterator[Violation]:
    """What runs on a target imports the standard library, ansible.module_utils and this collection's module_utils."""
    if not file.path.startswith(("plugins/modules/", "plugins/module_utils/")) or file.is_engine:
        return
    shipped = ("ansible.module_utils.", f"{COLLECTION}.plugins.module_utils.")
    for item in imports(file.tree):
        if item.level == 0 and item.top not in sys.stdlib_module_names and not item.name.startswith(shipped):
            yield Violation(file.path, item.line, f"imports {item.name}, which is not shipped to targets")


def libraries_wait(file: SourceFile) -> t.Iterator[Violation]:
    """The engine imports a third-party library where it uses it, and only those that requirements.txt names."""
    if not file.is_engine:
        return
    for item in imports(file.tree):
        if item.level or item.top in sys.stdlib_module_names or item.top in {"ansible", "ansible_collections"}:
            continue
        if item.top not in LIBRARIES and not (item.for_types_only and item.top == "typing_extensions"):
            yield Violation(file.path, item.line, f"imports {item.name}: no library of the engine")
        elif not (item.in_function or item.for_types_only):
            yield Violation(
                file.path, item.line, f"imports {item.name} at the top: do it in the function that needs it"
            )


def imports_point_downward(file: SourceFile) -> t.Iterator[Violation]:
    """A room knows only the rooms below it."""
    if not file.is_engine:
        return
    inside = file.path[len(ENGINE) + 1 :].removesuffix(".py").split("/")
    room = inside[0]
    if room == "__init__":
        return
    if room not in LEVELS:
        yield Violation(file.path, 1, f"{room} has no level: give it one in LEVELS, and in docs/code-map.md")
        return
    for item in imports(file.tree):
        if item.level == 0:
            continue
        # Level 1 is the file's own folder, each further level the folder above.
        folder = inside[: -item.level]
        if item.level > len(inside):
            yield Violation(file.path, item.line, "imports from outside the engine")
            continue
        other = [*folder, *item.name.split(".")][0]
        if other == room:
            continue
        if other not in LEVELS:
            yield Violation(file.path, item.line, f"imports {other}, which is no room of the engine")
        elif LEVELS[other] >= LEVELS[room]:
            yield Violation(file.path, item.line, f"{room} imports {other}, which is not below it")


def nothing_is_imported_by_name(file: SourceFile) -> t.Iterator[Violation]:
    """Everything that runs is named in an import statement: AnsiballZ ships nothing else."""
    if not file.path.startswith("plugins/"):
        return
    for item in imports(file.tree):
        if item.level == 0 and item.top in DYNAMIC_MODULES:
            yield Violation(file.path, item.line, f"imports {item.name}: dynamic imports are not shipped to targets")
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DYNAMIC_CALLS:
            yield Violation(file.path, node.lineno, f"calls {node.func.id}()")


# --- shape of files ---------------------------------------------------------------------------------------------


def main_is_short(file: SourceFile) -> t.Iterator[Violation]:
    """A module's main() is wiring: under forty lines and one except; the work is in the engine."""
    if not file.path.startswith("plugins/modules/") or file.path.endswith("/__init__.py"):
        return
    mains = [node for node in file.tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    if not mains:
        yield Violation(file.path, 1, "has no main()")
    for node in mains:
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines >= MAIN_LINES:
            yield Violation(file.path, node.lineno, f"main() has {lines} lines, not under {MAIN_LINES}")
    handlers = [node for node in ast.walk(file.tree) if isinstance(node, ast.ExceptHandler)]
    for handler in handlers[1:]:
        yield Violation(file.path, handler.lineno, "a second except: errors are handled in _module.py")


def file_is_small(file: SourceFile) -> t.Iterator[Violation]:
    """One concept a file."""
    lines = file.text.count("\n")
    if file.path.startswith("plugins/") and lines > FILE_LINES and file.path not in CATALOGUES:
        yield Violation(file.path, FILE_LINES, f"{lines} lines, more than {FILE_LINES}: it holds more than one concept")


def starts_with_the_licence(file: SourceFile) -> t.Iterator[Violation]:
    """Every file says whose it is; only package markers are empty."""
    if file.path.endswith("__init__.py"):
        if file.text.strip() and file.path.startswith("plugins/"):
            yield Violation(file.path, 1, "is not empty: ansible-test and AnsiballZ expect empty package markers")
        return
    lines = [line for line in file.text.splitlines()[:4] if not line.startswith("#!")]
    if lines[:3] != [
        "# Copyright: Lifeboat contributors",
        "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
        "# SPDX-License-Identifier: GPL-3.0-or-later",
    ]:
        yield Violation(file.path, 1, "does not start with the three lines of the licence")


def nothing_is_asserted(file: SourceFile) -> t.Iterator[Violation]:
    """`python -O` removes assert statements, and with them the check."""
    if not file.path.startswith("plugins/"):
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Assert):
            yield Violation(file.path, node.lineno, "assert statement: raise an error instead")


def time_is_injected(file: SourceFile) -> t.Iterator[Violation]:
    """Only core/clock.py asks the machine what time it is."""
    if not file.is_engine or file.path == f"{ENGINE}/core/clock.py":
        return
    asking = {
        "time.time",
        "time.monotonic",
        "time.time_ns",
        "time.sleep",
        "datetime.now",
        "datetime.utcnow",
        "date.today",
    }
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            if ".".join(called.split(".")[-2:]) in asking:
                yield Violation(file.path, node.lineno, f"calls {called}(): time comes from core.clock")


def runs_on_the_oldest_python(file: SourceFile) -> t.Iterator[Violation]:
    """What vermin doesn't see: unions that are evaluated (3.10; annotations are not) and times with a Z (3.11)."""
    if not file.path.startswith("plugins/"):
        return
    annotations = {id(part) for node in _annotations(file.tree) for part in ast.walk(node)}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and id(node) not in annotations:
            if any(_is_type(side) for side in (node.left, node.right)):
                yield Violation(file.path, node.lineno, f"evaluates {ast.unparse(node)}: use t.Optional or t.Union")
        elif (
            isinstance(node, ast.Attribute) and node.attr == "fromisoformat" and file.path != f"{ENGINE}/core/clock.py"
        ):
            yield Violation(file.path, node.lineno, "fromisoformat refuses Z before 3.11: use core.clock")


def _annotations(tree: ast.Module) -> t.Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
            yield node.returns


def _is_type(node: ast.expr) -> bool:
    builtin = {"bool", "bytes", "dict", "float", "frozenset", "int", "list", "object", "set", "str", "tuple", "type"}
    if isinstance(node, ast.Subscript):
        node = node.value
    return (isinstance(node, ast.Constant) and node.value is None) or (
        isinstance(node, ast.Name) and node.id in builtin
    )


def ansible_test_accepts_it(file: SourceFile) -> t.Iterator[Violation]:
    """What `ansible-test sanity` refuses and no other linter does, told in a second and not in a minute.

    It reads the whole tree, tests and tools too; what modules may not call it asks of plugins only.
    """
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store):
            yield Violation(file.path, node.lineno, "a name `_`: call it dummy, or what it is with a leading _")
        elif isinstance(node, ast.Compare) and any(
            isinstance(side, ast.Call) and ast.unparse(side.func) == "type" for side in (node.left, *node.comparators)
        ):
            yield Violation(file.path, node.lineno, "compares type(): use isinstance()")
        elif isinstance(node, ast.Call) and file.path.startswith("plugins/"):
            called = ast.unparse(node.func)
            if called in {"print", "exit", "quit", "sys.exit"}:
                yield Violation(file.path, node.lineno, f"calls {called}(): write to a stream, raise SystemExit")


Rule = t.Callable[[SourceFile], t.Iterator[Violation]]

RULES: t.Final[tuple[Rule, ...]] = (
    ansible_stays_outside,
    modules_import_what_is_shipped,
    libraries_wait,
    imports_point_downward,
    nothing_is_imported_by_name,
    main_is_short,
    file_is_small,
    starts_with_the_licence,
    nothing_is_asserted,
    time_is_injected,
    runs_on_the_oldest_python,
    ansible_test_accepts_it,
)


@functools.cache
def python_files() -> list[SourceFile]:
    """Every Python file that is committed, or would be."""
    return [
        SourceFile.of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in committed.files()
        if path.suffix == ".py"
    ]
