# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications: what may be asked, what is noted, and what makes one another one."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import RequestInvalid
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.app_noted import (
    MOST_REFS,
    combined_fingerprint,
    repository_content,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.app_options import CACHES, AppOptions
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.app_producer import _payload_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.git_repository import (
    HEAD,
    GitRepository,
    Refs,
    digest_of,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.files.restore_options import (
    restore_options_from,
)

_ONE, _OTHER = "1" * 40, "2" * 40


def test_everything_that_may_be_asked() -> None:
    plain = AppOptions.from_description({"connection": {"paths": ["/opt/app"]}})
    assert (plain.git_bundle, plain.tree, plain.caches, plain.version_file) == (None, True, CACHES, "")
    asked = AppOptions.from_description(
        {
            "connection": {"paths": ["/opt/app"], "exclude": ["uploads"]},
            "system_snapshot": True,
            "git_bundle": True,
            "tree": False,
            "caches": [],
            "version_file": "/opt/app/VERSION",
        }
    )
    assert (asked.git_bundle, asked.tree, asked.caches, asked.version_file) == (True, False, (), "/opt/app/VERSION")
    assert (asked.files.places.exclude, asked.files.system_snapshot) == (("uploads",), True)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"git_bundle": False, "tree": False}, "nothing is left"),
        ({"git_bundle": "yes"}, "true or false"),
        ({"caches": "node_modules"}, "list of patterns"),
        ({"caches": ["/"]}, "no pattern"),
        ({"version_file": "VERSION"}, "absolute path"),
        ({"bundle": True}, "no option bundle"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, t.Any], complaint: str) -> None:
    with pytest.raises(RequestInvalid, match=complaint):
        AppOptions.from_description({"connection": {"paths": ["/opt/app"]}, **options})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"in_place": True, "take": "repositories"}, "beside"),
        ({"data_directory": "/r", "take": "repositories", "paths": ["/opt/app"]}, "without paths"),
        ({"data_directory": "/r", "take": "everything"}, "one of all, tree, repositories"),
        ({"data_directory": "/r", "redeploy": ["true"]}, "for restores in place"),
        ({"in_place": True, "redeploy": "systemctl restart app"}, "word by word"),
        ({"in_place": True, "redeploy": ["systemctl", 7]}, "word by word"),
    ],
)
def test_a_restore_that_cannot_be_meant_is_refused(options: dict[str, t.Any], complaint: str) -> None:
    with pytest.raises(RequestInvalid, match=complaint):
        restore_options_from(options)


def test_of_many_refs_the_manifest_names_some_and_has_the_hash_of_all() -> None:
    refs = {f"refs/tags/v{number:04}": _ONE for number in range(MOST_REFS + 1)}
    repository = GitRepository(path="/opt/app", user=0, group=0, refs=Refs(by_name=refs, head=""), committed=10**18)
    noted = repository_content(repository, payload="app.bundle", refs=refs)
    assert (len(noted["refs"]), noted["refs_count"]) == (MOST_REFS, MOST_REFS + 1)
    assert noted["refs_sha256"] == digest_of(refs) != digest_of(noted["refs"])
    assert noted["committed"] is None  # whoever makes a commit may give it any time


def test_a_ref_a_branch_or_the_tree_makes_it_another_one() -> None:
    refs = {HEAD: _ONE, "refs/heads/main": _ONE}
    prints = {
        combined_fingerprint(tree, {path: Refs(by_name=by_name, head=head)})
        for tree, path, by_name, head in (
            ("tree", "/opt/app", refs, "refs/heads/main"),
            ("other", "/opt/app", refs, "refs/heads/main"),
            ("tree", "/opt/other", refs, "refs/heads/main"),
            ("tree", "/opt/app", refs, ""),
            ("tree", "/opt/app", {**refs, "refs/tags/v1": _ONE}, "refs/heads/main"),
            ("tree", "/opt/app", {**refs, "refs/heads/main": _OTHER}, "refs/heads/main"),
        )
    }
    assert len(prints) == 6
    assert combined_fingerprint("tree", {}) not in prints


@pytest.mark.parametrize(
    ("path", "taken", "name"),
    [
        ("/opt/second_brain_database", [], "second_brain_database.bundle"),
        ("/opt/app", ["app.bundle", "app-2.bundle"], "app-3.bundle"),
        ("/opt/App", ["app.bundle"], "App-2.bundle"),
        ("/opt/.hidden/", [], "repository.bundle"),
        ("/srv/with space & more", [], "with-space-more.bundle"),
        ("/srv/\u00e9", [], "repository.bundle"),
        (f"/srv/{'n' * 200}", [], f"{'n' * 60}.bundle"),
    ],
)
def test_bundles_have_names_that_every_storage_takes(path: str, taken: list[str], name: str) -> None:
    assert _payload_name(path, taken) == name
