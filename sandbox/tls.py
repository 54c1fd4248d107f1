# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import typing as t
from dataclasses import dataclass

from .errors import SandboxError
from .parts import OPENSSL, find_openssl, require

if t.TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class TLSFiles:
    """A self-signed certificate for 127.0.0.1 and localhost; ``authority`` is what a client must trust (PEM files)."""

    authority: Path
    certificate: Path
    key: Path
    combined: Path


def self_signed(directory: Path) -> TLSFiles:
    """Make the certificate in ``directory`` (kept when it is there already). Needs the ``openssl`` program."""
    files = TLSFiles(
        authority=directory / "certificate.pem",
        certificate=directory / "certificate.pem",
        key=directory / "key.pem",
        combined=directory / "combined.pem",
    )
    if files.combined.exists():
        return files
    openssl = require(find_openssl(), OPENSSL)
    directory.mkdir(parents=True, exist_ok=True)
    command = [str(openssl), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    command += ["-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command += ["-keyout", str(files.key), "-out", str(files.certificate)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise SandboxError(f"openssl made no certificate: {done.stderr.strip()}")
    files.key.chmod(0o600)
    files.combined.touch(mode=0o600)
    files.combined.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    return files
