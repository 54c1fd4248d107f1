# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo`` restores one of each kind that it backs up, and beside production."""

from __future__ import annotations

import importlib.util
import pathlib
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def demo_restores() -> t.Any:
    """The script, which is no part of a package."""
    found = importlib.util.spec_from_file_location("demo_restores", ROOT / "tools" / "demo_restores.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_kind_of_the_sandbox_is_restored_beside_what_is_there(tmp_path: pathlib.Path) -> None:
    description = {
        "postgresql": {"superuser": "postgres", "superuser_pgpass_file": "/s/pgpass"},
        "mongodb": {"root_uri_file": "/s/uri"},
    }
    backed_up = {
        f"{service['name']}/{source['name']}/{backup['kind']}"
        for path in (ROOT / "inventories" / "sandbox" / "host_vars").glob("*.yml")
        for service in yaml.safe_load(path.read_text(encoding="utf-8"))["lifeboat_services"]
        for source in service["sources"]
        for backup in source["backups"]
    }
    restored = dict(demo_restores().restores(tmp_path, description))
    assert set(restored) == backed_up
    assert len(backed_up) >= 5
    assert not any(options.get("in_place") for options in restored.values())
