# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's configuration file: what it says about where data lies, and one of our own for a server beside."""

from __future__ import annotations

import glob
import os
import typing as t

from .aof_manifest import quoted_name, split_words

_DEEPEST_INCLUDE = 8
_LARGEST = 4 * 1024 * 1024


def read_configuration(path: str) -> dict[str, str]:
    """The settings of a file with those that it includes, names in lower case, the last one of a name wins.

    Values of several words are joined by spaces. Raises ``OSError``.
    """
    settings: dict[str, str] = {}
    _read(path, settings, depth=0)
    return settings


def configuration_text(settings: t.Mapping[str, str], *, comment: str) -> bytes:
    """A configuration file with these settings; each value is one word."""
    lines = [b"# " + line.encode("utf-8") for line in comment.splitlines()]
    lines += [
        name.encode("ascii") + b" " + (quoted_name(value) if value else b'""') for name, value in settings.items()
    ]
    return b"\n".join(lines) + b"\n"


def _read(path: str, settings: dict[str, str], *, depth: int) -> None:
    with open(path, "rb") as file:
        lines = file.read(_LARGEST).splitlines()
    for line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith(b"#"):
            continue
        words = split_words(stripped)
        if not words:
            continue
        name = words[0].decode("utf-8", "surrogateescape").lower()
        values = [word.decode("utf-8", "surrogateescape") for word in words[1:]]
        if name == "include" and values and depth < _DEEPEST_INCLUDE:
            for included in sorted(glob.glob(os.path.join(os.path.dirname(path), values[0]))):
                _read(included, settings, depth=depth + 1)
            continue
        settings[name] = " ".join(values)
