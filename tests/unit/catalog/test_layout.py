# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie: names become folders, and keys are taken apart again."""

from __future__ import annotations

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.layout import Series, parse_key
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid

FOLDER = Series(service="family", source="main", kind="full").backup("20261121T020000Z-4f2c91")


def test_a_key_is_service_source_kind_id_and_name() -> None:
    assert FOLDER.series.folder == "family/main/full/"
    assert FOLDER.key("dump.archive") == "family/main/full/20261121T020000Z-4f2c91/dump.archive"
    assert FOLDER.manifest_key == "family/main/full/20261121T020000Z-4f2c91/manifest.json"


@pytest.mark.parametrize("name", ["dump.archive", "manifest.json", "part/one"])
def test_a_key_is_taken_apart_again(name: str) -> None:
    parts = parse_key(FOLDER.key(name))
    assert parts is not None
    assert (parts.folder, parts.name) == (FOLDER, name)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "manifest.json",
        "family/main/full/20261121T020000Z-4f2c91",
        "family/main/full/latest/manifest.json",
        "family/main/full/20261341T020000Z-4f2c91/manifest.json",
        "Family/main/full/20261121T020000Z-4f2c91/manifest.json",
        "../main/full/20261121T020000Z-4f2c91/manifest.json",
    ],
)
def test_what_is_no_object_of_a_backup_has_no_parts(key: str) -> None:
    assert parse_key(key) is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a b"])
@pytest.mark.parametrize("place", ["service", "source", "kind"])
def test_names_that_can_not_be_folders_are_refused(place: str, name: str) -> None:
    with pytest.raises(RequestInvalid, match=f"The {place} .* can't be a folder"):
        Series(**{"service": "a", "source": "b", "kind": "c", place: name})
