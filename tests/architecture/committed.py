# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is committed, or would be by the next `git add`: its files, and what must not stand in them."""

from __future__ import annotations

import pathlib
import re
import subprocess
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Written in pieces, so that this file holds none of them. A path of the machine that something was made on says nothing
# to a reader elsewhere, and names more than was meant to be published.
LEAKS: t.Final[dict[str, re.Pattern[str]]] = {
    "a path of one machine": re.compile(
        r"(?<![\w.~-])/(?:"
        + "|".join(
            [
                "wor" + r"k/\w",
                "root/" + r"\.",
                "Use" + r"rs/\w",
                "ho" + r"me/\w+/",
                "opt/" + r"(?:lbvenv|wheels|mongo-tools)",
                "tmp/" + "brief",
            ]
        )
        + ")"
    ),
    "the host of a package registry": re.compile(
        "|".join(
            [
                r"py" + r"pi\.org",
                r"python" + r"hosted\.org",
                r"registry\." + r"npmjs",
                r"crates" + r"\.io",
                r"proxy\." + r"golang",
                r"repo1?\." + r"maven",
                r"deb\." + r"debian\.org",
                r"galaxy\." + r"ansible\.com/api",
            ]
        )
    ),
    "a private key": re.compile("AGE-SECRET" + r"-KEY-1[0-9A-Z]{20}|-----BEGIN [A-Z ]*PRIVATE" + " KEY-----"),
    "the key of a cloud account": re.compile("AK" + r"IA[0-9A-Z]{16}\b"),
}

# The text of the licence speaks for itself.
NOT_OURS: t.Final = frozenset({"LICENSE"})
# The private key of one golden backup: everybody may read it, for nothing else is encrypted to it.
TEST_KEYS: t.Final = frozenset({"tests/fixtures/golden/TEST-KEY-not-secret.txt"})


def files() -> list[pathlib.Path]:
    """All regular files that git knows, or would take, in the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def links() -> list[pathlib.Path]:
    """All symbolic links that git knows, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_symlink()]


def leaks(text: str, *, here: str = "") -> list[tuple[int, str]]:
    """Line numbers and what leaks there; *here* is the checkout's own path, which is a leak too."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        found.extend((number, name) for name, pattern in LEAKS.items() if pattern.search(line))
        if here and here in line:
            found.append((number, "the path of this checkout"))
    return found
