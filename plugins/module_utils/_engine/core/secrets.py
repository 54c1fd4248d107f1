# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets by reference: a file, an environment name or a command; fetched at the moment of use.

A description holds ``password_file: /etc/lifeboat/redis.pass`` rather than the password, so that neither inventories
nor process lists nor Ansible's results ever carry it.
"""

from __future__ import annotations

import os
import shlex
import typing as t
from dataclasses import dataclass, field

from .errors import LifeboatError, RequestInvalid, SecretUnavailable
from .runner import Runner


@dataclass(frozen=True)
class Secret:
    """Where a secret is to be had. The value itself is never shown by repr()."""

    name: str
    value: str | None = field(default=None, repr=False)
    file: str | None = None
    environment: str | None = None
    command: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is a reference at all."""
        return any(part is not None for part in (self.value, self.file, self.environment, self.command))

    def fetch(self, *, runner: Runner) -> str | None:
        """The secret without its trailing line end; None when no reference was given.

        Raises SecretUnavailable naming the reference, never the value, also where there is an empty one: no server has
        an empty password on purpose.
        """
        if self.value is not None:
            return self.value
        if self.file is not None:
            return self._from_file(self.file)
        if self.environment is not None:
            return self._from_environment(self.environment)
        return self._from_command(self.command, runner=runner) if self.command is not None else None

    def _from_file(self, path: str) -> str:
        look = f"Run: ls -l {shlex.quote(path)}   It must be readable by the user who runs Lifeboat, mode 0600."
        try:
            with open(path, encoding="utf-8") as file:
                found = file.read().rstrip("\r\n")
        except OSError as error:
            raise self._unavailable(f"the file {path} can't be read: {error.strerror}", hint=look) from error
        except UnicodeDecodeError:
            # The error holds the bytes.
            raise self._unavailable(f"the file {path} is not UTF-8 text", hint=look) from None
        if not found:
            raise self._unavailable(f"the file {path} is empty", hint=look)
        return found

    def _from_environment(self, variable: str) -> str:
        found = os.environ.get(variable)
        if not found:
            raise self._unavailable(
                f"the environment variable {variable} is {'not set' if found is None else 'empty'}",
                hint=f"Set {variable} for the process that runs Lifeboat, or use {self.name}_file.",
            )
        return found

    def _from_command(self, command: str, *, runner: Runner) -> str:
        # From the operator's own configuration; it is split as a shell would, without running one. Neither its
        # arguments nor anything that it prints may stand in an error: both may hold the secret.
        by_hand = f"Run the command of {self.name}_command by hand as the same user."
        try:
            argv = shlex.split(command)
        except ValueError as error:
            raise self._unavailable(f"the command can't be read: {error}", hint=by_hand) from None
        if not argv:
            raise self._unavailable("the command is empty", hint=by_hand)
        try:
            completed = runner.run(argv, timeout=60, check=False)
        except LifeboatError as error:
            raise self._unavailable(
                f"the command {argv[0]} failed: {error.message}", hint=error.hint or by_hand
            ) from None
        if completed.status != 0:
            raise self._unavailable(f"the command {argv[0]} ended with status {completed.status}", hint=by_hand)
        if not completed.text.strip():
            raise self._unavailable(f"the command {argv[0]} printed nothing", hint=by_hand)
        return completed.text.rstrip("\r\n")

    def _unavailable(self, problem: str, *, hint: str) -> SecretUnavailable:
        return SecretUnavailable(f"{self.name}: {problem}.", hint=hint)


def secret_from(description: t.Mapping[str, t.Any], name: str) -> Secret:
    """The secret called *name* of a description: one of NAME, NAME_file, NAME_env and NAME_command, or none of them.

    Raises RequestInvalid when more than one is given.
    """
    references = {
        "value": description.get(name),
        "file": description.get(f"{name}_file"),
        "environment": description.get(f"{name}_env"),
        "command": description.get(f"{name}_command"),
    }
    given = {key: str(value) for key, value in references.items() if value is not None}
    if len(given) > 1:
        raise RequestInvalid(
            f"{name} is given {len(given)} times ({', '.join(sorted(given))}).",
            hint=f"Keep one of {name}_file, {name}_env, {name}_command and {name}.",
        )
    return Secret(name=name, **given)
