# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible sends as an archive is compiled once, and not again by each task of each play.

Python keeps no compiled code for sources in an archive, and a third of the time of a task on this machine went into
compiling the same ones. Whoever has this file on the path keeps it, by what the source says; nothing else is different.
Plays of tests do, and the interpreter of the tests' hosts, nobody else.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import types
import zipimport

_BESIDE = os.path.join(os.path.dirname(__file__), "compiled-once")
_PLACE = os.environ.get("LIFEBOAT_COMPILED_ONCE") or _BESIDE
_compile = getattr(zipimport, "_compile_source", None)


def _compiled_once(pathname: str, source: bytes) -> types.CodeType:
    name = pathname.rpartition(".zip")[2]
    key = hashlib.blake2b(f"{sys.implementation.cache_tag} {name}\0".encode() + source, digest_size=16).hexdigest()
    kept = os.path.join(_PLACE, key)
    code = _read(kept)
    if code is not None:
        return code
    code = _compile(pathname, source)
    unfinished = f"{kept}.{os.getpid()}"
    try:
        with open(unfinished, "wb") as file:
            marshal.dump(code, file)
        os.replace(unfinished, kept)
    except OSError:
        pass  # Who may not write here compiles it again.
    return code


def _read(kept: str) -> types.CodeType | None:
    try:
        with open(kept, "rb") as file:
            return marshal.load(file)  # noqa: S302 - we have written it
    except (OSError, ValueError, EOFError, TypeError):
        return None


if os.path.isdir(_PLACE) and _compile is not None:
    zipimport._compile_source = _compiled_once
