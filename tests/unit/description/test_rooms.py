# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema and the rooms that read what it lets through: the same keys, the same choices, the same defaults."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.kinds import (
    KINDS,
    RUNNABLE_KINDS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema import (
    DESCRIPTION_SCHEMA,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema_engines import (
    CONNECTIONS,
    OPTIONS,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.runner import SubprocessRunner
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.options import FilesPlaces
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb import (
    consistency,
    options as mongodb_options,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.connection import MongoConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.topology import READ_PREFERENCES
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.kinds import KINDS as OPERATIONS
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms import transforms_from
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.connection import PostgresConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.options import (
    BaseBackupOptions,
    LogicalOptions,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis import options as redis_options
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.redis.connection import RedisConnection
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import registry
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.fields import Fields

ROOMS: dict[str, t.Callable[[dict[str, t.Any]], t.Any]] = {
    "mongodb": MongoConnection.from_description,
    "postgresql": PostgresConnection.from_description,
    "redis": RedisConnection.from_description,
    "files": FilesPlaces.from_description,
}
RUNNABLE = [(engine, kind) for engine, kinds in RUNNABLE_KINDS.items() for kind in kinds]


def keys_named_in(refusal: RequestInvalid) -> set[str]:
    """The rooms answer an unknown key with a list of those that they know."""
    return {word.strip(" .") for word in refusal.hint.partition(":")[2].split(",")}


@pytest.mark.parametrize("engine", ROOMS)
def test_a_connection_has_the_keys_that_the_room_reads(engine: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        ROOMS[engine]({"no-such-key": 1})
    assert keys_named_in(caught.value) == set(CONNECTIONS[engine])


@pytest.mark.parametrize(("engine", "kind"), RUNNABLE)
def test_a_backup_has_the_options_that_the_room_reads(engine: str, kind: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        OPERATIONS[engine, kind].factory({"no-such-key": 1})
    known = keys_named_in(caught.value) - {"connection", "kind"}
    # The room reads method for both kinds, and refuses it for this one.
    known -= {"method"} if kind == "aof" else set()
    assert known == set(OPTIONS[engine][kind])


@pytest.mark.parametrize(("engine", "kind"), RUNNABLE)
def test_the_room_takes_every_option_at_its_default(engine: str, kind: str) -> None:
    defaults = {key: schema["default"] for key, schema in OPTIONS[engine][kind].items() if "default" in schema}
    OPERATIONS[engine, kind].factory({"connection": {}, **defaults})


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        (LogicalOptions(), OPTIONS["postgresql"]["logical"]),
        (BaseBackupOptions(), OPTIONS["postgresql"]["base"]),
        (mongodb_options.options_from_description({}), OPTIONS["mongodb"]["full"]),
        (redis_options.options_from_description({}), OPTIONS["redis"]["rdb"]),
        (MongoConnection.from_description({}), CONNECTIONS["mongodb"]),
        (RedisConnection(), CONNECTIONS["redis"]),
        (PostgresConnection(), CONNECTIONS["postgresql"]),
    ],
    ids=["logical", "base", "mongodb full", "redis", "mongodb connection", "redis connection", "postgresql connection"],
)
def test_the_defaults_are_those_of_the_room(options: t.Any, schema: dict[str, t.Any]) -> None:
    told = {key: entry["default"] for key, entry in schema.items() if "default" in entry}
    read = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    both = set(told) & set(read)
    # An empty address or port means libpq's own default.
    assert {key: told[key] for key in both if read[key] is not None} == {
        key: read[key] for key in both if read[key] is not None
    }
    assert both


@pytest.mark.parametrize(
    ("schema", "choices"),
    [
        (OPTIONS["mongodb"]["full"]["consistency"], consistency.MODES),
        (OPTIONS["mongodb"]["full"]["tool"], mongodb_options.TOOLS),
        (OPTIONS["mongodb"]["full"]["read_preference"], READ_PREFERENCES),
        (OPTIONS["redis"]["rdb"]["method"], redis_options.METHODS),
    ],
)
def test_the_choices_are_those_of_the_room(schema: dict[str, t.Any], choices: tuple[str, ...]) -> None:
    assert sorted(schema["enum"]) == sorted(choices)


def test_what_is_called_runnable_is_what_operations_can_make() -> None:
    assert set(RUNNABLE) == set(OPERATIONS)
    assert all(set(kinds) <= set(KINDS[engine]) for engine, kinds in RUNNABLE_KINDS.items())


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_repository_has_the_keys_that_storage_reads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sections: dict[str, Fields] = {}

    class Recording(Fields):
        def __init__(self, *arguments: t.Any, place: str, **keywords: t.Any) -> None:
            super().__init__(*arguments, place=place, **keywords)
            sections[place] = self

        def section(self, key: str) -> t.Any:
            found = super().section(key)
            sections[key] = found
            return found

    monkeypatch.setattr(registry, "Fields", Recording)
    description = {
        "file": {"type": "file", "path": "/b"},
        "s3": {
            "type": "s3",
            "bucket": "acme-backups",
            "object_lock": {"mode": "governance", "retain": "30d"},
            "credentials": {"file": "/f"},
        },
    }[kind]
    registry.open_storage(description, name="local", clock=SystemClock(), runner=SubprocessRunner())
    schema = DESCRIPTION_SCHEMA["$defs"][f"repository_{kind}"]["properties"]
    assert set(sections["The repository local"]._asked) == set(schema) - {"type", "description"}
    for key in {"object_lock", "credentials"} & set(schema):
        assert set(sections[key]._asked) == set(schema[key]["properties"]), key


def test_the_pipeline_reads_what_a_job_says_of_compression_and_encryption() -> None:
    compression = DESCRIPTION_SCHEMA["$defs"]["compression"]["properties"]
    found = transforms_from(compression={key: schema["default"] for key, schema in compression.items()}).compression
    assert found is not None
    assert (found.level, found.threads) == (compression["level"]["default"], compression["threads"]["default"])
    for level in (compression["level"]["minimum"], compression["level"]["maximum"]):
        transforms_from(compression={"level": level})
    with pytest.raises(RequestInvalid):
        transforms_from(compression={"level": compression["level"]["maximum"] + 1})
    encryption = set(DESCRIPTION_SCHEMA["$defs"]["encryption"]["properties"]) - {"method"}
    with pytest.raises(RequestInvalid) as caught:
        transforms_from(encryption={"no-such-key": 1})
    assert keys_named_in(caught.value) == encryption
