# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words in braces that stand for what is told: ``{"text": "{title}: {text}"}``."""

from __future__ import annotations

import re
import typing as t

#: What each word stands for.
PLACEHOLDERS: t.Mapping[str, str] = {
    "id": "unique to what is told; the same when it is sent twice",
    "event": "failure, overdue, alert, recovery, success, repeat, test, or what was told by hand",
    "severity": "critical, high, medium, warning or info",
    "service": "the service",
    "job": "service/source/kind, or less where it is about more",
    "slug": "the job with dashes for slashes",
    "topic": "backup, verification, retention ...",
    "state": "what came of it: complete, partial, failed, passed, overdue, well",
    "host": "who tells",
    "title": "one line",
    "text": "all of it, in lines",
    "message": "what is wrong, in a sentence",
    "hint": "what to do next",
    "code": "the error's stable code",
    "count": "how often it happened in a row",
    "since": "since when, RFC 3339 in UTC",
    "at": "when this happened, RFC 3339 in UTC",
    "backup": "the backup's id",
    "facts": "all figures, as a mapping",
}
_WORD = re.compile(r"\{([a-z_]+)\}")


def fill(template: t.Any, values: t.Mapping[str, t.Any]) -> t.Any:
    """*template* (JSON values) with the words replaced in all texts. A text that is one word only becomes its value."""
    if isinstance(template, dict):
        return {key: fill(item, values) for key, item in template.items()}
    if isinstance(template, list):
        return [fill(item, values) for item in template]
    if not isinstance(template, str):
        return template
    whole = _WORD.fullmatch(template)
    if whole is not None:
        return values.get(whole[1])
    return _WORD.sub(lambda found: _shown(values.get(found[1])), template)


def unknown_words(template: t.Any, path: tuple[str | int, ...] = ()) -> t.Iterator[tuple[tuple[str | int, ...], str]]:
    """Each word in *template* that stands for nothing, and where it is."""
    if isinstance(template, dict):
        for key, item in template.items():
            yield from unknown_words(item, (*path, key))
    elif isinstance(template, list):
        for position, item in enumerate(template):
            yield from unknown_words(item, (*path, position))
    elif isinstance(template, str):
        yield from ((path, word) for word in _WORD.findall(template) if word not in PLACEHOLDERS)


def _shown(value: t.Any) -> str:
    return "" if value is None else str(value)
