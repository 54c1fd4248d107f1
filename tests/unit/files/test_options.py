# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A description of files is taken or refused before anything is read."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.options import options_from_description
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.restore_options import (
    restore_options_from,
)


def test_everything() -> None:
    options = options_from_description(
        {
            "connection": {"paths": ["/etc/nginx"], "optional_paths": ["/etc/none*"], "exclude": ["*.bak"]},
            "system_snapshot": True,
        }
    )
    assert options.places.paths == ("/etc/nginx",)
    assert options.places.optional_paths == ("/etc/none*",)
    assert options.places.exclude == ("*.bak",)
    assert options.system_snapshot


@pytest.mark.parametrize(
    ("connection", "complaint"),
    [
        ({"paths": ["etc/nginx"]}, "not an absolute path"),
        ({"paths": ["/"]}, "the whole host"),
        ({"paths": ["/etc/../proc/1"]}, "kernel makes up"),
        ({"paths": ["/sys"]}, "kernel makes up"),
        ({"optional_paths": ["/dev"]}, "kernel makes up"),
        ({"paths": "/etc"}, "list of texts"),
        ({"paths": [""]}, "list of texts"),
        ({"paths": ["/etc"], "excluded": []}, "no option excluded"),
        ({"exclude": [""]}, "list of texts"),
    ],
)
def test_what_cannot_be_meant_is_refused(connection: dict[str, t.Any], complaint: str) -> None:
    with pytest.raises(RequestInvalid, match=complaint):
        options_from_description({"connection": connection})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "not said where"),
        ({"in_place": True, "data_directory": "/r"}, "contradicts"),
        ({"data_directory": "r"}, "absolute path"),
        ({"data_directory": "/"}, "folder of its own"),
        ({"data_directory": "/r", "exact": True}, "for restores in place"),
        ({"data_directory": "/r", "paths": ["etc"]}, "absolute paths"),
        ({"data_directory": "/r", "force": True}, "no option force"),
    ],
)
def test_a_restore_that_cannot_be_meant_is_refused(options: dict[str, t.Any], complaint: str) -> None:
    with pytest.raises(RequestInvalid, match=complaint):
        restore_options_from(options)
