# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spares that are restored as copies beside their sources: what they lack when they are in charge."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.spare_copies import (
    ARCHIVES_NOTHING,
    NOT_REACHED,
    CopyLack,
    lacks_of_copy,
)

COPY: t.Final = {"in_place": False, "data_directory": "/data", "port": 5433, "start": True}


def lacks(engine: str = "postgresql", *, address: str = "198.51.100.7", **options: t.Any) -> tuple[CopyLack, ...]:
    spare = {"name": "far", "connection": {"host": address}, "options": {**COPY, **options}}
    return lacks_of_copy(engine, spare, host="south1")


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, [ARCHIVES_NOTHING, NOT_REACHED]),
        ({"listen_addresses": "127.0.0.1, ::1"}, [ARCHIVES_NOTHING, NOT_REACHED]),
        ({"listen_addresses": "127.0.0.1", "address": "localhost"}, [ARCHIVES_NOTHING]),
        ({"address": "127.0.0.1"}, [ARCHIVES_NOTHING, NOT_REACHED]),
        ({"listen_addresses": "localhost,198.51.100.7"}, [ARCHIVES_NOTHING]),
        ({"listen_addresses": "*"}, [ARCHIVES_NOTHING]),
        ({"engine": "redis"}, [NOT_REACHED]),
        ({"engine": "redis", "address": "127.0.0.1"}, []),
        ({"engine": "files"}, []),
        ({"in_place": True}, []),
    ],
)
def test_a_copy_archives_nothing_and_is_heard_only_where_it_is_told_to_listen(
    changes: dict[str, t.Any], codes: list[str]
) -> None:
    assert [one.code for one in lacks(**changes)] == codes


def test_one_that_is_restored_in_place_or_into_a_server_lacks_nothing() -> None:
    for options in (None, {}, {"data_directory": "/data"}, {"in_place": False, "database": "shop"}):
        spare = {"name": "far", "connection": {}, "options": options}
        assert lacks_of_copy("postgresql", spare, host="south1") == ()


def test_it_says_where_it_listens_and_what_to_do() -> None:
    archives, reached = map(str, lacks(listen_addresses="127.0.0.1"))
    assert archives.startswith("far on south1 is restored as a copy beside its source (in_place: false), and archives")
    assert "archive_mode = on" in archives
    assert "listens on 127.0.0.1 alone: applications that are pointed to 198.51.100.7 don't reach it." in reached
    assert "Set options.listen_addresses" in reached
