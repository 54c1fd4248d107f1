# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of a .pub file, and what people paste in its place."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.ssh_keys import parse_public_key
from tests.support.approvals import public_key

ADA = public_key("ada")


def packed(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


def test_the_comment_and_blanks_around_it_are_no_part_of_a_key() -> None:
    assert str(parse_public_key(f"  {ADA} ada@desk in the office\n")) == ADA
    assert parse_public_key(ADA) == parse_public_key(ADA + " x")
    assert parse_public_key(ADA) != parse_public_key(public_key("grace"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----\nb3BlbnNz\n", "private key"),
        ("", "does not begin with a type"),
        ("ssh-ed25519", "is missing"),
        ("ssh-ed25519 ", "is missing"),
        ("ssh-ed25519 x", "cut short or changed"),
        ("ssh-ed25519 " + ADA.split()[1][:-8], "cut short or changed"),
        ("ssh-ed25519 " + packed(b"ssh-rsa", b"x"), "of another type"),
        ("ssh-ed25519 " + packed(b"ssh-ed25519"), "of another type"),
        ("ssh-dss " + packed(b"ssh-dss", b"x"), "does not begin with a type"),
        (f"cert-authority {ADA}", "certificates"),
        (f'command="x" {ADA}', "does not begin with a type"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificates"),
        (f"{ADA}\nmallory {ADA}", "one line"),
        (f"{ADA}\x1b[2J", "one line"),
        ("ssh-rsa " + packed(b"ssh-rsa", b"\1\0\1", b"\x7f" * 128), "less than 2048 bits"),
    ],
)
def test_what_is_no_key_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_public_key(text)


def test_an_rsa_key_that_is_long_enough_may_sign() -> None:
    parse_public_key("ssh-rsa " + packed(b"ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 256))
