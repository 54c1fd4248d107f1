# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible carries to a host with a module: every file that it leads to, packed once a play and compiled each run.

One import of a table of all kinds takes four databases along, so the modules that run most often are held to what they
are about.
"""

from __future__ import annotations

import ast
import functools
import pathlib

import pytest

from tests.architecture.committed import ROOT
from tests.architecture.rules import COLLECTION, imports

_PLUGINS = ROOT / "plugins"
_PREFIX = f"{COLLECTION}.plugins."
_DATABASES = {"mongodb", "postgresql", "redis", "files"}
_ABOUT = {
    "announce": set(),
    "backup_copy": {"postgresql"},  # the options of WAL-G's place
    "backup_follow": set(),
    "backup_info": set(),
    "described_files": set(),
    "dns_agreed": set(),
    "dns_record": set(),
    "failover_approval": set(),
    "degraded_mode": {"postgresql", "redis"},
    "dr_readiness": {"postgresql"},
    "drill_place": set(),
    "failover_ledger": set(),
    "files_backup": {"files"},
    "mongo_dump": {"mongodb"},
    "mongo_fence": {"mongodb"},
    "mongo_member": {"mongodb"},
    "mongo_prepare": {"mongodb"},
    "mongo_promote": {"mongodb"},
    "mongo_standby_info": {"mongodb"},
    "pg_basebackup_walg": {"postgresql"},
    "pg_fence": {"postgresql"},
    "pg_follow": {"postgresql"},
    "pg_logical_dump": {"postgresql"},
    "pg_prepare": {"postgresql"},
    "pg_promote": {"postgresql"},
    "pg_standby_info": {"postgresql"},
    "redis_fence": {"redis"},
    "redis_follow": {"redis"},
    "redis_prepare": {"redis"},
    "redis_promote": {"redis"},
    "redis_snapshot": {"redis"},
    "redis_standby_info": {"redis"},
}


@functools.cache
def _led_to(path: pathlib.Path) -> frozenset[pathlib.Path]:
    package = path.relative_to(_PLUGINS).with_suffix("").parts
    found = set()
    for one in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if one.level:
            name = ".".join([*package[: -one.level], one.name])
        elif one.name.startswith(_PREFIX):
            name = one.name.removeprefix(_PREFIX)
        else:
            continue
        parts = name.split(".")
        # The last part is a file, or a name in one.
        files = [_PLUGINS.joinpath(*parts[:end]).with_suffix(".py") for end in (len(parts), len(parts) - 1)]
        found.update([file for file in files if file.is_file()][:1])
    return frozenset(found)


def carried(module: str) -> set[pathlib.Path]:
    """The files that go to the host with *module*."""
    found: set[pathlib.Path] = set()
    ahead = {_PLUGINS / "modules" / f"{module}.py"}
    while ahead:
        found |= ahead
        ahead = {file for path in ahead for file in _led_to(path)} - found
    return found


def rooms(files: set[pathlib.Path]) -> set[str]:
    engine = _PLUGINS / "module_utils" / "_engine"
    return {file.relative_to(engine).parts[0] for file in files if engine in file.parents}


@pytest.mark.parametrize("module", sorted(_ABOUT))
def test_a_module_carries_the_databases_that_it_is_about(module: str) -> None:
    files = carried(module)
    assert len(files) > 5
    assert rooms(files) & _DATABASES == _ABOUT[module]


def test_a_module_of_all_databases_is_seen_to_carry_them() -> None:
    assert rooms(carried("backup_verify")) >= _DATABASES | {"core", "operations"}


@pytest.mark.parametrize("path", sorted((_PLUGINS / "filter").glob("*.py")), ids=lambda path: path.stem)
def test_a_filter_imports_the_engine_where_it_needs_it(path: pathlib.Path) -> None:
    """Whoever asks for one filter has Ansible load the files of all, in a process of its own for each task and host."""
    found = [
        one
        for one in imports(ast.parse(path.read_text(encoding="utf-8")))
        if "_engine" in one.name and not one.for_types_only
    ]
    assert [one for one in found if not one.in_function] == []
