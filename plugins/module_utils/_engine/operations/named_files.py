# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files that a description names can be used on this host. What is in them stands in no message."""

from __future__ import annotations

import os
import pwd
import shlex
import ssl
import stat
import typing as t
from dataclasses import dataclass

from ..core.description.named_files import CERTIFICATES, CREDENTIALS, IDENTITY, RECIPIENTS, NamedFile
from ..core.description.recipients import check_recipient
from ..core.errors import ConfigurationInvalid, FilesUnusable
from ..storage.s3_client import parse_keys

# What age takes with -i: its own keys, those of its plugins, and those of ssh.
_IDENTITIES = ("AGE-SECRET-KEY-", "AGE-PLUGIN-", "-----BEGIN")
# A file of every job is not told with the names of all of them.
_MOST_NAMES = 3


@dataclass(frozen=True)
class FileProblem:
    """What is wrong with one file, and the next command to type."""

    file: NamedFile
    problem: str
    hint: str

    def __str__(self) -> str:
        names = self.file.needed_by
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"{self.file.path} ({self.file.option} of {', '.join(names[:_MOST_NAMES])}{more}): {self.problem}."

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**self.file.as_dict(), "problem": self.problem, "hint": self.hint, "message": str(self)}


class _Refused(Exception):
    """The first thing that is wrong with a file."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def look_at_files(files: t.Iterable[NamedFile], *, account: str | None = None) -> list[FileProblem]:
    """What is wrong with *files* on this host; empty when all is well.

    *account* is who will read them; None for whoever asks. One that is not there yet may be given them later.
    """
    found = []
    for file in files:
        try:
            _check(file, account=account)
        except _Refused as refused:
            found.append(FileProblem(file=file, problem=refused.problem, hint=refused.hint))
    return found


def files_refusal(problems: t.Sequence[FileProblem]) -> FilesUnusable:
    """The error that lists every one of *problems*."""
    lines = [f"{one} {one.hint}" for one in problems]
    heading = "A file that the description names can't be used" if len(lines) == 1 else "Files can't be used"
    return FilesUnusable(
        f"{heading}: {problems[0]}" if len(lines) == 1 else "\n  - ".join([f"{heading}:", *lines]),
        hint=problems[0].hint if len(lines) == 1 else "Mend them, then: lifeboat config check --files",
        details={"files": [one.as_dict() for one in problems]},
    )


def _check(file: NamedFile, *, account: str | None) -> None:
    path = shlex.quote(file.path)
    look = f"Run: ls -lL {path}"
    try:
        facts = os.stat(file.path)
        if not stat.S_ISREG(facts.st_mode):
            raise _Refused("it is not a file", look)
        with open(file.path, "rb") as opened:
            data = opened.read()
    except FileNotFoundError:
        raise _Refused("it is not there", _how_to_write(file, account=account)) from None
    except OSError as error:
        raise _Refused(f"it can't be read: {error.strerror}", look) from None
    _check_rights(file, facts, account=account)
    _check_content(file, data)


def _how_to_write(file: NamedFile, *, account: str | None) -> str:
    path = shlex.quote(file.path)
    if file.use == RECIPIENTS:
        return f"Write the public keys into it, one a line: age-keygen -y IDENTITY_FILE > {path}"
    if file.use == CERTIFICATES:
        return f"Copy the certificates there, in PEM: install -m 0644 FILE {path}"
    return f"Write it, for nobody else to read: install -o {account or 'root'} -m 0600 FILE {path}"


def _check_rights(file: NamedFile, facts: os.stat_result, *, account: str | None) -> None:
    path = shlex.quote(file.path)
    mode = stat.S_IMODE(facts.st_mode)
    is_public = file.use in (RECIPIENTS, CERTIFICATES)
    if mode & (stat.S_IWOTH if is_public else stat.S_IRWXO):
        what = "change" if mode & stat.S_IWOTH else "read"
        why = {
            RECIPIENTS: ", and so have backups encrypted to a key of their own",
            CERTIFICATES: ", and so have another server trusted",
        }.get(file.use, "")
        hint = f"Run: chmod {'o-w' if is_public else '0600'} {path}"
        raise _Refused(f"every account of this host can {what} it (mode {mode:04o}){why}", hint)
    reader = _account(account)
    if reader is not None and reader.pw_uid != 0 and not _can_read(facts, reader):
        hint = f"Run: chown {shlex.quote(reader.pw_name)} {path}"
        raise _Refused(
            f"{reader.pw_name}, who runs the jobs, can't read it: it is {_name(facts.st_uid)}'s (mode {mode:04o})", hint
        )


def _account(name: str | None) -> pwd.struct_passwd | None:
    if name is None:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _can_read(facts: os.stat_result, reader: pwd.struct_passwd) -> bool:
    if facts.st_uid == reader.pw_uid:
        return bool(facts.st_mode & stat.S_IRUSR)
    if facts.st_gid in os.getgrouplist(reader.pw_name, reader.pw_gid):
        return bool(facts.st_mode & stat.S_IRGRP)
    return bool(facts.st_mode & stat.S_IROTH)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _check_content(file: NamedFile, data: bytes) -> None:
    path = shlex.quote(file.path)
    if not data.strip():
        raise _Refused("it is empty", _how_to_write(file, account=None))
    if file.use == CERTIFICATES:
        _check_certificates(file.path)
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        if file.option == "sslkey":  # may be DER
            return
        # The error holds the bytes.
        raise _Refused("it is not text", f"Run: file {path}") from None
    if file.use == RECIPIENTS:
        _check_recipients(text)
    elif file.use == CREDENTIALS:
        keys = parse_keys(text)
        missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not keys.get(name)]
        if missing:
            raise _Refused(
                f"there is no {' and no '.join(missing)} in it",
                f"Add {' and '.join(f'{name}=...' for name in missing)} there.",
            )
    elif file.use == IDENTITY and not any(line.strip().startswith(_IDENTITIES) for line in text.splitlines()):
        raise _Refused("there is no private key in it", "age-keygen writes one: a line AGE-SECRET-KEY-...")


def _check_recipients(text: str) -> None:
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    keys = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not keys:
        raise _Refused("there is no public key in it", "One a line, beginning with age1.")
    for number, key in keys:
        if key.startswith("ssh-"):
            continue
        try:
            check_recipient(key)
        except ConfigurationInvalid as error:
            # Not the beginning of the line: it may be a secret in the wrong file.
            what = "is a SECRET key" if key.upper().startswith("AGE-SECRET-KEY") else "is not a public key of age"
            raise _Refused(f"line {number} {what}", error.hint or "") from None


def _check_certificates(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):
        hint = f"Run: openssl x509 -noout -subject -in {shlex.quote(path)}"
        raise _Refused("there is no certificate in it that can be read", hint) from None
