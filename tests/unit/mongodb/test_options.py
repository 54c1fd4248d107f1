# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A description of a MongoDB dump is taken or refused before anything is touched."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.mongodb.options import options_from_description


def test_defaults() -> None:
    options = options_from_description({})
    assert (options.tool, options.consistency, options.parallel) == ("native", "auto", 4)
    assert options.scope.is_everything
    assert options.scope.users_and_roles
    assert options.read_preference == "secondaryPreferred"
    assert not options.raise_history_window


def test_everything() -> None:
    options = options_from_description(
        {
            "connection": {
                "uri_file": "/etc/lifeboat/family.uri",
                "tls_ca_file": "/ca",
                "tls_certificate_key_file": "/both",
                "server_selection_timeout": 3,
            },
            "database": "shop",
            "collections": {"include": ["or*"], "exclude": ["orders_old"]},
            "tool": "native",
            "consistency": "snapshot",
            "parallel": "8",
            "users_and_roles": False,
            "read_preference": "primary",
            "max_lag_seconds": 5,
            "raise_history_window": True,
            "expected_bytes_per_second": 1e8,
        }
    )
    assert options.connection.uri.file == "/etc/lifeboat/family.uri"
    assert options.connection.uses_tls_files
    assert (options.scope.database, options.scope.include, options.scope.exclude) == ("shop", ("or*",), ("orders_old",))
    assert (options.parallel, options.max_lag_seconds, options.connection.server_selection_timeout) == (8, 5.0, 3.0)


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ({"databse": "shop"}, "no option databse"),
        ({"connection": {"url": "x"}}, "no option url"),
        ({"connection": {"uri": "mongodb://a", "uri_file": "/b"}}, "given 2 times"),
        ({"connection": []}, "must be a mapping"),
        ({"collections": {"only": ["a"]}}, "no option only"),
        ({"collections": {"include": "orders"}}, "must be a list"),
        ({"collections": {"include": [""]}}, "not empty"),
        ({"database": "local"}, "can't be dumped"),
        ({"database": "a.b"}, "can't be dumped"),
        ({"database": ""}, "not empty"),
        ({"tool": "mongoexport"}, "must be one of native, mongodump"),
        ({"consistency": "maybe"}, "must be one of auto, snapshot, oplog, none"),
        ({"parallel": 0}, "above 0"),
        ({"parallel": 2.5}, "whole number"),
        ({"parallel": 65}, "at most 64"),
        ({"users_and_roles": "yes"}, "true or false"),
        ({"read_preference": "nearest"}, "must be one of"),
        ({"consistency": "oplog", "database": "shop"}, "whole instance"),
        ({"consistency": "oplog", "collections": {"exclude": ["a.b"]}}, "whole instance"),
        ({"tool": "mongodump", "consistency": "snapshot"}, "no snapshots"),
        ({"tool": "mongodump", "database": "a", "collections": {"include": ["b"]}}, "no list of collections"),
        ({"tool": "mongodump", "collections": {"exclude": ["a.b"]}}, "single database"),
        ({"tool": "mongodump", "database": "a", "collections": {"exclude": ["b*"]}}, "no patterns"),
    ],
)
def test_refusals(description: dict[str, t.Any], says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        options_from_description(description)
