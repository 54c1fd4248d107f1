# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore may be asked for, which names it gives, and what of an archive it takes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive import ArchiveCollection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.archive_reader import ArchivePrelude
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.noted_content import NotedContent
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_names import RestoreNames
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_options import (
    KEYS,
    restore_options_from,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.restore_selection import (
    AS_VIEW,
    DIRECT,
    STAGED,
    has_all,
    namespace_map,
    require_all,
    select_items,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.vendor_restore import (
    LoadCounts,
    mongorestore_argv,
)

NAMES = RestoreNames(restore_id="20261121T120000Z-abcdef")
NOTED = NotedContent(
    tool="native",
    database=None,
    users_and_roles=True,
    mode="snapshot",
    server_version="6.0.5",
    feature_compatibility="6.0",
    collections={},
    oplog=None,
    window=None,
)


def entry(database: str, name: str, *, kind: str = "collection", options: str = "") -> ArchiveCollection:
    metadata = '{"options":{' + options + '},"indexes":[]}'
    data_name = f"system.buckets.{name}" if kind == "timeseries" else name
    return ArchiveCollection(database=database, name=name, data_name=data_name, metadata=metadata, type=kind)


PRELUDE = ArchivePrelude(
    concurrent_collections=4,
    server_version="6.0.5",
    tool_version="100.10.0",
    collections=(
        entry("shop", "orders"),
        entry("shop", "shown", kind="view", options='"viewOn":"orders","pipeline":[]'),
        entry("shop", "weather", kind="timeseries", options='"timeseries":{"timeField":"at"}'),
        entry("shop", "secret", options='"encryptedFields":{"fields":[]}'),
        entry("shop", "system.js"),
        entry("shop", "od*d[x]?"),
        entry("stock", "boxes", options='"expireAfterSeconds":{"$numberLong":"5"}'),
        entry("admin", "system.users"),
        entry("admin", "system.version"),
        entry("config", "settings"),
    ),
)


def test_everything_is_taken_unless_something_is_named() -> None:
    selection = select_items(PRELUDE, NOTED, restore_options_from({}))
    assert {item.full_name: item.way for item in selection.items} == {
        "shop.orders": STAGED,
        "shop.shown": AS_VIEW,
        "shop.weather": DIRECT,
        "shop.secret": DIRECT,
        "shop.system.js": STAGED,
        "shop.od*d[x]?": STAGED,
        "stock.boxes": STAGED,
    }
    assert selection.people
    assert selection.databases == ("shop", "stock")
    assert [item.full_name for item in selection.items if item.expires] == ["stock.boxes"]


@pytest.mark.parametrize(
    ("options", "source", "target"),
    [
        ({}, ("shop", "orders"), ("shop", f"{NAMES.staging}orders")),
        ({}, ("new", "x"), ("new", f"{NAMES.staging}x")),
        ({"suffix": "_r"}, ("shop", "orders"), ("shop_r", f"{NAMES.staging}orders")),
        ({"suffix": "_r", "rename": {"stock": "s"}}, ("stock", "boxes"), ("s", f"{NAMES.staging}boxes")),
        ({"suffix": "_r"}, ("new", "x"), ("new_r", f"{NAMES.staging}x")),
        ({}, ("shop", "weather"), ("shop", "weather")),
        ({}, ("shop", "system.buckets.weather"), ("shop", "system.buckets.weather")),
        ({}, ("shop", "system.js"), ("shop", f"{NAMES.staging}system%js")),
        ({"databases": ["shop"]}, ("stock", "boxes"), None),
        ({"databases": ["shop"]}, ("shop", "late"), ("shop", f"{NAMES.staging}late")),
        ({"collections": ["shop.od*d[x]?"]}, ("shop", "od*d[x]?"), ("shop", f"{NAMES.staging}od*d[x]?")),
        ({"collections": ["shop.od*d[x]?"]}, ("shop", "oddx!"), None),
        ({"collections": ["shop.orders"], "databases": ["stock"]}, ("shop", "late"), None),
        ({"collections": ["shop.orders"], "databases": ["stock"]}, ("stock", "b"), ("stock", f"{NAMES.staging}b")),
    ],
)
def test_where_collections_are_loaded(
    options: dict[str, t.Any], source: tuple[str, str], target: tuple[str, str] | None
) -> None:
    parsed = restore_options_from(options)
    names = namespace_map(select_items(PRELUDE, NOTED, parsed), parsed, NAMES)
    assert names.target(*source) == target


def test_staged_names_find_back() -> None:
    assert NAMES.final(f"{NAMES.staging}a.b") == "a.b"
    assert NAMES.final(f"{NAMES.staging}system%js") == "system.js"
    assert NAMES.final(f"{NAMES.staging}system_js") == "system_js"
    for name in (f"{NAMES.staging}x", f"{NAMES.before}x", NAMES.marks, f"{NAMES.people}.users"):
        assert NAMES.is_own(name)
    assert not NAMES.is_own("lifeboat_races")


@pytest.mark.parametrize(
    ("description", "match"),
    [
        ({"database": "shop"}, "no option database"),
        ({"collections": ["orders"]}, "names no collection"),
        ({"databases": ["local"]}, "belongs to the server"),
        ({"rename": {"shop": ""}}, "no name"),
        ({"rename": {"shop": "a.b"}}, "can be called"),
        ({"rename": {"shop": "admin"}}, "can't become admin"),
        ({"suffix": ".x"}, "part of a database's name"),
        ({"users_and_roles": True, "suffix": "_r"}, "other names"),
        ({"users_and_roles": True, "collections": ["shop.orders"]}, "whole databases"),
        ({"users_and_roles": True, "tool": "vendor"}, "at once"),
        ({"others": "aside"}, "in place"),
        ({"others": "aside", "in_place": True, "collections": ["shop.orders"]}, "single ones"),
        ({"parallel": 0}, "parallel"),
        ({"parallel": 2.5}, "whole number"),
        ({"tool": "other"}, "tool"),
        ({"in_place": "yes"}, "true or false"),
    ],
)
def test_what_can_not_be_asked_for(description: dict[str, t.Any], match: str) -> None:
    with pytest.raises(RequestInvalid, match=match):
        restore_options_from(description)


def test_every_key_is_known() -> None:
    for key in KEYS:
        with pytest.raises(RequestInvalid) as refused:
            restore_options_from({key: object()})
        assert "has no option" not in refused.value.message


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"databases": ["nothing"]}, "no database nothing"),
        ({"rename": {"nothing": "x"}}, "no database nothing"),
        ({"collections": ["shop.nothing"]}, "no collection"),
        ({"rename": {"shop": "stock"}}, "both become stock"),
        ({"suffix": "x" * 60}, "can be called"),
    ],
)
def test_what_the_backup_has_not(options: dict[str, t.Any], match: str) -> None:
    parsed = restore_options_from(options)
    with pytest.raises(RequestInvalid, match=match):
        require_all(select_items(PRELUDE, NOTED, parsed), PRELUDE, parsed)


def test_what_the_oplog_makes_is_there() -> None:
    parsed = restore_options_from({"databases": ["nothing"]})
    selection = select_items(PRELUDE, NOTED, parsed)
    assert not has_all(selection, PRELUDE, parsed)
    assert require_all(selection, PRELUDE, parsed, made=[("nothing", "young")]).databases == ("nothing",)
    with pytest.raises(RequestInvalid, match="Neither the backup nor the oplog up to the target"):
        require_all(selection, PRELUDE, parsed, made=[("other", "young")])


def test_the_command_line_of_mongorestore() -> None:
    options = restore_options_from({"tool": "vendor", "suffix": "_r", "parallel": 3})
    selection = select_items(PRELUDE, NOTED, options)
    argv = mongorestore_argv(
        program="/x/mongorestore", configuration="/dev/fd/9", options=options, selection=selection, names=NAMES
    )
    assert argv[:5] == (
        "/x/mongorestore",
        "--config=/dev/fd/9",
        "--archive",
        "--bypassDocumentValidation",
        "--stopOnError",
    )
    assert "--nsExclude=shop.shown" in argv
    # The last pair that matches counts.
    assert argv.index("--nsFrom=shop.*") < argv.index("--nsFrom=shop.weather") < argv.index("--nsFrom=shop.system.js")
    assert f"--nsTo=shop_r.{NAMES.staging}*" in argv
    assert "--nsTo=shop_r.system.buckets.weather" in argv


def test_what_mongorestore_says() -> None:
    counts = LoadCounts()
    counts.line("2026-11-21T16:00:46.416+0000\t12 document(s) restored successfully. 3 document(s) failed to restore.")
    assert (counts.restored, counts.failed) == (12, 3)
