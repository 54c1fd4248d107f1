# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/error-codes.md from the errors that the engine knows, or checks that it is up to date.

    python tools/error_codes.py            write the page
    python tools/error_codes.py --check    exit 1 and show the difference when the page says something else

Which errors there are, their codes, exit statuses and meanings are read from ``core/errors.py``; the sections are the
ones of that file (``# --- mongodb ---``).
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import pathlib
import re
import sys
import typing as t

from lifeboat.core import errors

ROOT: t.Final = pathlib.Path(__file__).resolve().parents[1]
PAGE: t.Final = ROOT / "docs" / "error-codes.md"
CODE: t.Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
SECTION: t.Final = re.compile(r"^# --- (?P<name>[a-z0-9_ ]+) -+$")

HEAD: t.Final = """\
# Error codes

Every refusal and failure carries a stable code, a message that says what is wrong, and where there is one a hint: the
next thing to type. Modules return them as `code`, `msg` and `hint`; the command `lifeboat --json` as `code`, `message`
and `hint`. Codes are never renamed or used for another meaning. The exit status is that of the command.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | the operation failed |
| 2 | the request was wrong, or something it needs is missing; nothing was touched |
| 3 | partial: some repositories have the backup, others don't |
| 4 | somebody else holds the lock |

This page is written by `python tools/error_codes.py`.
"""


class Malformed(Exception):
    """An error class breaks the promises of this page."""


def known_errors(module: t.Any = errors) -> list[type[errors.LifeboatError]]:
    """All error classes of *module*, in the order of its source; raises Malformed when one can't be listed."""
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, errors.LifeboatError) and value.__module__ == module.__name__
    ]
    seen: dict[str, type] = {}
    for item in classes:
        code = vars(item).get("code")
        if not isinstance(code, str) or not CODE.fullmatch(code):
            raise Malformed(f"{item.__name__}: code {code!r} is not of the form room.what_is_wrong")
        if code in seen:
            raise Malformed(f"{item.__name__} and {seen[code].__name__} have the same code {code}")
        if not (vars(item).get("__doc__") or "").strip():
            raise Malformed(f"{item.__name__}: no docstring that says what it means")
        seen[code] = item
    return classes


def meaning(item: type[errors.LifeboatError]) -> str:
    """The first paragraph of the docstring, on one line."""
    return " ".join(inspect.cleandoc(item.__doc__ or "").split("\n\n", maxsplit=1)[0].split())


def sections(source: str) -> dict[str, str]:
    """Class name to the section of *source* in which it stands."""
    found, name = {}, "general"
    for line in source.splitlines():
        if match := SECTION.match(line):
            name = match["name"]
        elif line.startswith("class "):
            found[re.split(r"[ (:]", line)[1]] = name
    return found


def page() -> str:
    """The whole page as Markdown."""
    section_of = sections(inspect.getsource(errors))
    grouped: dict[str, list[type[errors.LifeboatError]]] = {}
    for item in known_errors():
        grouped.setdefault(section_of[item.__name__], []).append(item)
    lines = [HEAD]
    for name, items in grouped.items():
        lines += [f"## {name}", "", "| code | meaning | exit status |", "| --- | --- | --- |"]
        for item in items:
            hint = getattr(item, "hint", "")
            text = meaning(item) + (f" {hint}" if isinstance(hint, str) and hint else "")
            lines.append(f"| `{item.code}` | {text.replace('|', chr(92) + '|')} | {item.exit_status} |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Write or check the page; the exit status."""
    parser = argparse.ArgumentParser(description="write docs/error-codes.md from core/errors.py")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when the page is out of date")
    options = parser.parse_args(arguments)
    wanted = page()
    if not options.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    present = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if present == wanted:
        return 0
    difference = difflib.unified_diff(
        present.splitlines(), wanted.splitlines(), PAGE.name, "as it should be", n=0, lineterm=""
    )
    print("\n".join(list(difference)[:12]))
    print("run: python tools/error_codes.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
