# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A boto3 client for one repository, with its credentials fetched from where they are kept."""

from __future__ import annotations

import shlex
import typing as t

from ..core.errors import LibraryMissing, LifeboatError, RequestInvalid, StorageCredentialsMissing
from ..core.runner import Runner
from .s3_options import S3Credentials, S3Options

_KEY_ID = "AWS_ACCESS_KEY_ID"
_SECRET = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name, not the key
_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name, not the token


class Keyed(t.Protocol):
    """Something of Amazon's that keys are needed for: where they are, and what it is for people."""

    @property
    def credentials(self) -> S3Credentials: ...

    @property
    def url(self) -> str: ...


def make_client(options: S3Options, *, keys: t.Mapping[str, str], attempts: int) -> t.Any:
    """A client that threads may share, with *keys* of fetch_keys(). Nothing is connected to yet.

    Every request is made up to *attempts* times. Raises LibraryMissing without boto3, StorageCredentialsMissing when
    a profile does not exist.
    """
    try:
        import boto3
        import botocore.config
        import botocore.exceptions
    except ImportError as error:
        raise LibraryMissing(
            f"The Python library boto3 is needed for {options.url} and not installed: {error}.",
            hint="Run: pip install 'boto3>=1.36'",
            details={"library": "boto3"},
        ) from error
    path_style = bool(options.endpoint_url) if options.path_style is None else options.path_style
    addressing: dict[str, t.Any] = {"addressing_style": "path" if path_style else "auto"}
    if options.checksums == "when_required":
        # Signs the SHA-256 of every body; by default boto3 does so without TLS only.
        addressing["payload_signing_enabled"] = True
    settings: dict[str, t.Any] = {
        "connect_timeout": options.connect_timeout,
        "read_timeout": options.read_timeout,
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "max_pool_connections": 16,
        "tcp_keepalive": True,
        "request_checksum_calculation": options.checksums,
        "response_checksum_validation": options.checksums,
        "s3": addressing,
        "user_agent_extra": "lifeboat",
    }
    try:
        session = boto3.session.Session(profile_name=options.credentials.profile)
        return session.client(
            "s3",
            config=botocore.config.Config(**settings),
            region_name=options.region or ("us-east-1" if options.endpoint_url else None),
            endpoint_url=options.endpoint_url,
            verify=options.ca_bundle,
            aws_access_key_id=keys.get(_KEY_ID),
            aws_secret_access_key=keys.get(_SECRET),
            aws_session_token=keys.get(_TOKEN),
        )
    except botocore.exceptions.ProfileNotFound as error:
        raise StorageCredentialsMissing(
            f"There is no profile {options.credentials.profile!r} for {options.url} in the AWS configuration.",
            hint="Run: aws configure list-profiles   as the user who runs Lifeboat.",
        ) from error
    except ValueError as error:
        raise RequestInvalid(
            f"The repository {options.url} has the endpoint_url {options.endpoint_url!r}, no address: {error}.",
            hint="Write for example endpoint_url: https://s3.example.org",
        ) from error


def fetch_keys(options: Keyed, *, runner: Runner, environment: t.Mapping[str, str]) -> dict[str, str]:
    """The keys that the description refers to; empty when boto3 is to look for them itself.

    Raises StorageCredentialsMissing when the reference leads to none.
    """
    credentials = options.credentials
    if credentials.environment_prefix is not None:
        prefix = credentials.environment_prefix
        names = {
            _KEY_ID: f"{prefix}_ACCESS_KEY_ID",
            _SECRET: f"{prefix}_SECRET_ACCESS_KEY",
            _TOKEN: f"{prefix}_SESSION_TOKEN",
        }
        found = {key: environment[name] for key, name in names.items() if environment.get(name)}
        return _complete(found, options=options, place="the environment", names=names)
    if credentials.file is not None:
        found = parse_keys(_read_file(credentials.file, options=options))
        return _complete(found, options=options, place=credentials.file)
    if credentials.command is not None:
        return _complete(
            parse_keys(_run_command(credentials.command, options=options, runner=runner)),
            options=options,
            place=f"the output of {shlex.split(credentials.command)[0]}",
        )
    return {}


def parse_keys(text: str) -> dict[str, str]:
    """The credentials of lines ``NAME=value``, as a shell would read them; all other lines are left alone."""
    keys: dict[str, str] = {}
    for line in text.splitlines():
        name, _equals, value = line.strip().partition("=")
        words = name.split()
        if words and words[0] == "export":
            words = words[1:]
        if words and len(words) == 1 and words[0] in (_KEY_ID, _SECRET, _TOKEN):
            keys[words[0]] = _unquoted(value.strip())
    return keys


def _unquoted(value: str) -> str:
    for quote in ("'", '"'):
        if len(value) >= 2 and value[0] == value[-1] == quote:
            return value[1:-1]
    return value


def _complete(
    found: dict[str, str], *, options: Keyed, place: str, names: t.Mapping[str, str] | None = None
) -> dict[str, str]:
    missing = [(names or {}).get(key, key) for key in (_KEY_ID, _SECRET) if not found.get(key)]
    if missing:
        raise StorageCredentialsMissing(
            f"There is no {' and no '.join(missing)} for {options.url} in {place}.",
            hint=f"Add {' and '.join(f'{name}=...' for name in missing)} there.",
            details={"repository": options.url, "missing": missing},
        )
    return found


def _read_file(path: str, *, options: Keyed) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StorageCredentialsMissing(
            f"The credentials of {options.url} can't be read from {path}: {reason}.",
            hint=f"Run: ls -l {shlex.quote(path)}   It must be readable by the user who runs Lifeboat, mode 0600.",
            details={"repository": options.url, "path": path},
        ) from error


def _run_command(command: str, *, options: Keyed, runner: Runner) -> str:
    try:
        return runner.run(shlex.split(command), timeout=60).text
    except LifeboatError as error:
        # What the command printed may hold the secret, so it is not quoted.
        why = f"it ended with status {error.details['status']}" if "status" in error.details else error.message
        raise StorageCredentialsMissing(
            f"The command for the credentials of {options.url} failed: {why}",
            hint=error.hint or "Run it by hand as the user who runs Lifeboat.",
            details={"repository": options.url},
        ) from None
