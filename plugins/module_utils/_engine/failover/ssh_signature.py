# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing and asking about signatures, by ``ssh-keygen -Y``: keys that people have already, and no server."""

from __future__ import annotations

import datetime
import os
import re
import tempfile

from ..core.errors import FailoverApprovalInvalid, FailoverKeyUnusable
from ..core.runner import Runner, last_lines
from ..core.ssh_keys import PublicKey, parse_public_key
from .approval import NAMESPACE, Signed, Statement, parse_signed
from .approval_rules import Policy, Signer, Verify

_PROGRAM = "ssh-keygen"
_GOOD = re.compile(r'Good "([^"]*)" signature for (\S+) with \S+ key (SHA256:[A-Za-z0-9+/=]+)')
_SECONDS = 30.0


def verifier(runner: Runner) -> Verify:
    """Asks ssh-keygen. Raises ToolMissing where it is not there."""

    def verify(signed: Signed, signer: Signer, *, revoked_keys: str, at: datetime.datetime | None) -> str:
        return _verify(signed, signer, revoked_keys=revoked_keys, at=at, runner=runner)

    return verify


def _verify(signed: Signed, signer: Signer, *, revoked_keys: str, at: datetime.datetime | None, runner: Runner) -> str:
    for path, what in ((signer.allowed_signers, "allowed signers"), (revoked_keys, "revoked keys")):
        if path and not os.path.isfile(path):
            raise FailoverApprovalInvalid(
                f"The file of {what} {path} is not on this host, so nothing can be told of {signer.name}'s signature.",
                hint="Put it there, on the host that keeps the ledger.",
            )
    with tempfile.TemporaryDirectory(prefix="lifeboat-approval-") as folder:
        signature = _written(folder, "signature", signed.signature)
        allowed = signer.allowed_signers or _written(
            folder, "allowed_signers", f'{signer.principal} namespaces="{NAMESPACE}" {signer.key}\n'
        )
        argv = [_PROGRAM, "-Y", "verify", "-n", NAMESPACE, "-f", allowed, "-I", signer.principal, "-s", signature]
        argv += ["-r", revoked_keys] if revoked_keys else []
        # Its own clock says now. Releases before 9.1 know times of the host's zone only.
        argv += [] if at is None else ["-O", f"verify-time={at.astimezone():%Y%m%d%H%M%S}"]
        done = runner.run(argv, stdin=signed.statement.as_bytes(), timeout=_SECONDS, check=False)
    said = _GOOD.fullmatch(done.text.strip())
    if done.status != 0 or said is None or said.group(1, 2) != (NAMESPACE, signer.principal):
        revoked = f", or {revoked_keys} has its key" if revoked_keys else ""
        why = _one_line(done.error or done.output)
        raise FailoverApprovalInvalid(
            f"ssh-keygen does not accept the signature as {signer.name}'s: {why}{revoked}.",
            hint="Have it made again: lifeboat failover approve --plan SHA256 --key KEY",
        )
    return said.group(3)


def sign(statement: Statement, *, key: str, runner: Runner) -> Signed:
    """*statement* with a signature by the key in the file *key*: a private one, or a public one that an agent has.

    Raises FailoverKeyUnusable, ToolMissing and CommandTimedOut.
    """
    argv = [_PROGRAM, "-Y", "sign", "-n", NAMESPACE, "-f", os.path.expanduser(key)]
    # A key with a button waits for a hand.
    done = runner.run(argv, stdin=statement.as_bytes(), timeout=120.0, check=False)
    if done.status != 0:
        raise FailoverKeyUnusable(
            f"ssh-keygen could not sign with {key}: {_one_line(done.error)}.",
            hint=f"A key with a passphrase is used through the agent: ssh-add {key.removesuffix('.pub')}   and then "
            f"--key {key.removesuffix('.pub')}.pub",
            details={"key": key},
        )
    return parse_signed({"statement": statement.as_dict(), "signature": done.text})


def signer_of_key(key: str, policy: Policy, *, runner: Runner) -> str:
    """The name under which the key in the file *key* may approve. Raises FailoverKeyUnusable when nobody has it."""
    public = _public_key(os.path.expanduser(key), runner=runner)
    for signer in policy.signers:
        if public is not None and signer.key == str(public):
            return signer.name
    names = ", ".join(one.name for one in policy.signers)
    raise FailoverKeyUnusable(
        f"The key {key} is none of those of the description's approvals, as far as it can be read.",
        hint=f"Say who you are with --as NAME (there are: {names}), or have its .pub file added to the description.",
        details={"key": key, "signers": [one.name for one in policy.signers]},
    )


def _public_key(path: str, *, runner: Runner) -> PublicKey | None:
    for candidate in (path, f"{path}.pub"):
        try:
            with open(candidate, encoding="utf-8") as file:
                return parse_public_key(file.read(16384).strip())
        except (OSError, ValueError):
            continue
    done = runner.run([_PROGRAM, "-y", "-f", path], timeout=_SECONDS, check=False)
    try:
        return parse_public_key(done.text) if done.status == 0 else None
    except ValueError:
        return None


def _written(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def _one_line(said: bytes) -> str:
    return " ".join(last_lines(said, count=3).split()).rstrip(".")
