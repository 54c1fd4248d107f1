# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a host that its description names: keys, passwords, certificates."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .model import Json, Source

if t.TYPE_CHECKING:
    from .description import Description

#: What is in a file: public keys of age, any secret, the keys of a bucket, a private key of age, certificates.
RECIPIENTS, SECRET, CREDENTIALS, IDENTITY, CERTIFICATES = (
    "recipients",
    "secret",
    "credentials",
    "identity",
    "certificates",
)
USES = (RECIPIENTS, SECRET, CREDENTIALS, IDENTITY, CERTIFICATES)
#: By the option that names it. What is not here is no file of the host: a test compares with the schema.
OPTIONS: t.Final[t.Mapping[str, str]] = {
    "recipients_file": RECIPIENTS,
    "identity_file": IDENTITY,
    "password_file": SECRET,
    "uri_file": SECRET,
    "url_file": SECRET,
    "token_file": SECRET,
    "passfile": SECRET,
    "environment_file": SECRET,
    "tls_certificate_key_file": SECRET,
    "tls_key_file": SECRET,
    "sslkey": SECRET,
    "ca_file": CERTIFICATES,
    "ca_bundle": CERTIFICATES,
    "tls_ca_file": CERTIFICATES,
    "tls_certificate_file": CERTIFICATES,
    "sslrootcert": CERTIFICATES,
    "sslcert": CERTIFICATES,
}
_Found = t.Iterator[tuple[str, str, str]]  # option, what is in it, path


@dataclass(frozen=True)
class NamedFile:
    """A file, what must be in it, the option that names it, and what can't work without it."""

    path: str
    use: str
    option: str
    needed_by: tuple[str, ...]

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"path": self.path, "use": self.use, "option": self.option, "needed_by": list(self.needed_by)}


def named_files(description: Description) -> tuple[NamedFile, ...]:
    """What the host of *description* reads when it does by its clock what is described; each file once for each use.

    The sources of other hosts are left out, and so is what only a failover needs.
    """
    needed: dict[tuple[str, str, str], list[str]] = {}
    for by, option, use, path in _all(description):
        users = needed.setdefault((path, use, option), [])
        if by not in users:
            users.append(by)
    return tuple(
        NamedFile(path=path, use=use, option=option, needed_by=tuple(users))
        for (path, use, option), users in needed.items()
    )


def _all(description: Description) -> t.Iterator[tuple[str, str, str, str]]:
    used: dict[str, Json] = {}
    for service in description.services:
        for source in service.sources:
            used.update((use.name, use.description) for job in source.jobs for use in job.repositories)
            if description.settings.makes_backups:
                for by, given in _of_source(source):
                    yield from ((by, *found) for found in _named(given))
        notifications = service.surroundings.get("notifications", {})
        yield from ((f"{service.name}, notifications", *found) for found in _named(notifications))
    for name, repository in used.items():
        yield from ((f"repository {name}", *found) for found in _named(repository))
    yield from (("verification and restore", *found) for found in _named(description.settings.decryption))


def _of_source(source: Source) -> t.Iterator[tuple[str, Json]]:
    for job in source.jobs:
        # What nothing starts belongs to another host.
        if job.schedule is None and not job.triggers:
            continue
        yield job.id, job.encryption
        if not source.has_only_sets:
            yield job.id, job.connection
            yield job.id, job.options


def _named(given: t.Any) -> _Found:
    if isinstance(given, (list, tuple)):
        for one in given:
            yield from _named(one)
    elif isinstance(given, dict):
        for key, value in given.items():
            if key == "credentials" and isinstance(value, dict) and value.get("file"):
                yield "credentials: file", CREDENTIALS, str(value["file"])
            # Without a folder it is no path: sslrootcert can say "system".
            elif key in OPTIONS and isinstance(value, str) and "/" in value:
                yield key, OPTIONS[key], value
            else:
                yield from _named(value)
