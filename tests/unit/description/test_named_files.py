# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a host a description names."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.named_files import (
    OPTIONS,
    named_files,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schema import (
    DESCRIPTION_SCHEMA,
)
from tests.unit.description.samples import description

_PATH = re.compile(r"(_file|^file|^passfile|^ca_bundle|^ssl(rootcert|cert|key))$")
# Not read by what a host does by its clock.
_OTHERS = {
    "file": "of credentials, which are found by that",
    "env_file": "a measure of degraded mode: its options",
    "key_file": "of name servers, on the controller",
    "version_file": "is backed up, and may be missing",
}


def _properties(schema: t.Any) -> t.Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield from schema["properties"]
        for value in schema.values():
            yield from _properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _properties(value)


def test_every_option_of_the_schema_that_names_a_file_is_known() -> None:
    named = {key for key in _properties(DESCRIPTION_SCHEMA) if _PATH.search(key)}
    assert named - set(_OTHERS) == set(OPTIONS)


def _named(data: dict[str, t.Any]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {one.path: (one.use, one.option, one.needed_by) for one in named_files(load_description(data))}


def test_what_the_jobs_of_a_host_read_is_found_once_with_all_that_need_it() -> None:
    data = description()
    data["lifeboat_settings"]["encryption"] = {"recipients_file": "/etc/lifeboat/recipients.txt"}
    data["lifeboat_settings"]["decryption"] = {"identity_file": "/etc/lifeboat/identity.txt"}
    offsite = data["lifeboat_repositories"]["offsite"]
    offsite.update(credentials={"file": "/etc/lifeboat/s3.env"}, ca_bundle="/etc/ssl/own.pem")
    family, adhd = data["lifeboat_services"]
    family["notifications"]["channels"] = [{"name": "check", "ping": {"url_file": "/etc/lifeboat/check.url"}}]
    adhd["sources"][0]["connection"] = {"host": "db", "sslmode": "verify-full", "sslrootcert": "system"}
    adhd["sources"][0]["backups"] = adhd["sources"][0]["backups"][:1]
    assert _named(data) == {
        "/etc/lifeboat/recipients.txt": (
            "recipients",
            "recipients_file",
            (
                "family/main/full",
                "family/main/oplog",
                "family/cache/rdb",
                "family/settings/config",
                "adhd/main/logical",
            ),
        ),
        "/etc/lifeboat/family.uri": ("secret", "uri_file", ("family/main/full", "family/main/oplog")),
        "/etc/lifeboat/check.url": ("secret", "url_file", ("family, notifications",)),
        "/etc/lifeboat/s3.env": ("credentials", "credentials: file", ("repository offsite",)),
        "/etc/ssl/own.pem": ("certificates", "ca_bundle", ("repository offsite",)),
        "/etc/lifeboat/identity.txt": ("identity", "identity_file", ("verification and restore",)),
    }


def test_a_host_that_only_proves_needs_no_password_of_a_server() -> None:
    data = description()
    data["lifeboat_settings"].update(makes_backups=False, decryption={"identity_file": "/etc/lifeboat/identity.txt"})
    assert set(_named(data)) == {"/etc/lifeboat/identity.txt"}


def test_what_nothing_starts_belongs_to_another_host() -> None:
    data = description()
    for backup in data["lifeboat_services"][0]["sources"][0]["backups"]:
        del backup["schedule"]
    assert _named(data) == {}
