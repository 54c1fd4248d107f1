# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run and measured: one program, with all that it starts."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

# Hash and store what zstd prints, and be done only when it is on the disk: what our own run does with its stream.
_STORE = """
mkfifo {target}.fifo
{hash} < {target}.fifo > {target}.sha256 &
{source} | zstd -1 -T0 -q -c | tee {target}.fifo > {target}
wait $!
sync {target}
rm {target}.fifo
"""


@dataclass(frozen=True)
class Command:
    """A program to run. *target* is the folder whose files are what it has stored in the end."""

    argv: tuple[str, ...]
    target: Path
    environment: t.Mapping[str, str] = field(default_factory=dict)


def script(text: str, *, target: Path, **environment: str) -> Command:
    """Commands for bash, which stops at the first that fails, also inside of a pipe."""
    return Command(argv=("bash", "-euo", "pipefail", "-c", text), target=target, environment=environment)


def bare_pipe(
    source: t.Sequence[str | Path], *, target: Path, name: str, fast_hash: bool = False, **environment: str
) -> Command:
    """``source | zstd -1 -T0 | tee >(sha256sum) > file``, then the file is synced.

    *fast_hash* takes OpenSSL, which uses the processor's instructions for SHA-256; not every sha256sum does.
    """
    place = shlex.quote(str(target / name))
    hasher = "openssl dgst -sha256" if fast_hash else "sha256sum"
    return script(_STORE.format(source=words(source), target=place, hash=hasher), target=target, **environment)


def words(argv: t.Sequence[str | Path]) -> str:
    """A command as a shell takes it."""
    return shlex.join(map(str, argv))


def version_of(*argv: str | Path) -> str:
    """The first line that a program prints of itself; empty when it isn't there."""
    if shutil.which(str(argv[0])) is None:
        return ""
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=30, check=False)
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "")
