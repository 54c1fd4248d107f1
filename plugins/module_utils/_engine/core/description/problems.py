# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a description, in the operator's terms: where it stands, why it is wrong, what is allowed.

No text ever quotes the value of a secret.
"""

from __future__ import annotations

import datetime
import difflib
import typing as t
from dataclasses import dataclass

from ..errors import ConfigurationInvalid

Path = tuple[t.Union[str, int], ...]

_DEEPEST = 40


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: *path* leads to it, *text* says what, *hint* what to write instead."""

    path: Path
    text: str
    hint: str = ""


def show_path(path: Path, data: t.Any) -> str:
    """Where a problem is, for people: ``lifeboat_services[0] (family) > sources[1] (cache) > backups[0]``."""
    parts: list[str] = []
    here = data
    for step in path:
        here = _step_into(here, step)
        if not isinstance(step, int):
            parts.append(step)
            continue
        label = here.get("name") if isinstance(here, dict) else None
        suffix = f" ({label[:63]})" if isinstance(label, str) and label else ""
        if parts:
            parts[-1] += f"[{step}]{suffix}"
        else:
            parts.append(f"[{step}]{suffix}")
    return " > ".join(parts)


def refusal(problems: t.Sequence[Problem], data: t.Any) -> ConfigurationInvalid:
    """The error that lists every one of *problems*."""
    lines = []
    shown = []
    for problem in problems:
        place = show_path(problem.path, data) or "the description"
        lines.append(f"{place}: {problem.text}" + (f" {problem.hint}" if problem.hint else ""))
        shown.append({"path": place, "problem": problem.text, "hint": problem.hint})
    heading = "The description has a problem" if len(lines) == 1 else f"The description has {len(lines)} problems"
    message = f"{heading}: {lines[0]}" if len(lines) == 1 else "\n  - ".join([f"{heading}:", *lines])
    return ConfigurationInvalid(
        message,
        hint="Correct the description; every key is explained in docs/description.md.",
        details={"problems": shown},
    )


def nearest(word: str, known: t.Iterable[str]) -> str:
    """``did you mean 'repositories'?`` when one of *known* is close to *word*, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else ""


def plain(value: t.Any, *, path: Path = (), problems: list[Problem]) -> t.Any:
    """*value* as plain JSON values; whatever JSON can't hold becomes a problem and null.

    Ansible's own kinds of text become plain ones here.
    """
    if len(path) > _DEEPEST:
        problems.append(Problem(path, "is nested too deeply."))
        return None
    if isinstance(value, t.Mapping):
        return {
            key: plain(item, path=(*path, key), problems=problems)
            for key, item in _text_keys(value, path=path, problems=problems)
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, path=(*path, index), problems=problems) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        problems.append(Problem(path, "YAML reads this as a date.", "Put it in quotes."))
    else:
        problems.append(Problem(path, f"is a {type(value).__name__}, which JSON does not have."))
    return None


def _text_keys(value: t.Mapping[t.Any, t.Any], *, path: Path, problems: list[Problem]) -> t.Iterator[tuple[str, t.Any]]:
    for key, item in value.items():
        if isinstance(key, bool):
            problems.append(
                Problem(
                    path,
                    f"has the key {key}.",
                    "YAML reads on, off, yes and no as true and false; put the key in quotes.",
                )
            )
        elif not isinstance(key, str):
            problems.append(Problem(path, f"has the key {key!r}, which is not text.", "Put the key in quotes."))
        else:
            yield str(key), item


def _step_into(here: t.Any, step: str | int) -> t.Any:
    if isinstance(here, dict):
        return here.get(step)
    if isinstance(here, list) and isinstance(step, int) and step < len(here):
        return here[step]
    return None
