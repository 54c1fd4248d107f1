# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the step that tells people that a service moves: their texts, from templates of the description."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.errors import AnsibleFilterError

from .recovery_play import Json, read

_TITLES: t.Mapping[str, str] = {
    "planned": "{{ service }} will be moved{{ ' to ' ~ region if region }}",
    "began": "{{ service }} is being moved{{ ' to ' ~ region if region }}",
    "done": "{{ service }} works again{{ ', in ' ~ region if region }}",
    "failed": "Moving {{ service }}{{ ' to ' ~ region if region }} has stopped",
}
_TEXTS: t.Mapping[str, str] = {
    "planned": "{{ service }} will be moved{{ ' to ' ~ region if region }}. You will be told when it begins.",
    "began": (
        "{{ service }} is being moved{{ ' to ' ~ region if region }}. Until that is done it may not be there, or not "
        "whole.{{ ' ' ~ message if message }}{{ ' Meanwhile: ' ~ alternatives | join(', ') ~ '.' if alternatives }} "
        "You will be told when it is done."
    ),
    "done": "{{ service }} has been moved{{ ' to ' ~ region if region }} and works again.",
    "failed": (
        "Moving {{ service }} has stopped before it was done. Somebody is at work on it. You will be told when it "
        "works."
    ),
}
#: What plans of failovers call these.
_OTHER_WORDS = {"moved": "done", "started": "began"}


def announcement_event(event: str) -> str:
    """planned, began, done or failed."""
    found = _OTHER_WORDS.get(event, event)
    if found not in _TITLES:
        raise AnsibleFilterError(f"{event} is nothing that is told. There are: {', '.join(_TITLES)}.")
    return found


def announcements(
    services: t.Any,
    repositories: t.Any,
    settings: t.Any,
    *,
    service: str,
    event: str,
    words: Json,
    folders: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    """Who is told what of *event*: ``announcements`` for the module announce, ``problems`` of templates, ``text``.

    A template that can't be used is told as a problem, and Lifeboat's own text is used: nothing here stops a failover.
    *folders* are searched for files of templates. Of a drill only those hear that the description says so of.
    """
    from ..module_utils._engine.notify.channels import channels_of

    found = next((one for one in read(services, repositories, settings).services if one.name == service), None)
    if found is None:
        return {"announcements": [], "problems": [f"there is no service {service}"], "text": [], "repositories": []}
    event = announcement_event(event)
    channels = {
        one.name: {"name": one.name, "kind": one.kind, "options": dict(one.options)} for one in channels_of(found)
    }
    degraded = found.surroundings.get("degraded_mode") or {}
    given = {
        **dict.fromkeys(("region", "left", "run", "operator", "at", "reason", "plan"), ""),
        "steps": [],
        "drill": False,
        **words,
        "service": service,
        "event": event,
        "message": degraded.get("message") or "",
        "alternatives": list(degraded.get("alternatives") or ()),
    }
    writer = _Writer(event, given, channels, folders)
    described = (found.surroundings.get("communication") or {}).get("announcements") or ()
    made = [
        writer.write(one)
        for one in described
        if event in (one.get("events") or (event,)) and (one.get("in_drills") or not given["drill"])
    ]
    uses = {use.name: use for source in found.sources for job in source.jobs for use in job.repositories}
    return {
        "announcements": made,
        "problems": writer.problems,
        "text": _lines(made, writer.problems),
        "repositories": [{"name": name, **use.description} for name, use in uses.items() if not use.is_version_control],
    }


def announced(result: Json, event: str, problems: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """What the ledger keeps: whom it was told, the hash of the text and when; what did not reach them, and why."""
    told = list(result.get("told") or ())
    wrong = list(problems)
    if not told and result.get("msg"):
        wrong.append(str(result["msg"]).split("\n", maxsplit=1)[0])
    wrong += [f"{one['audience']} by {one['channel']}: {one['error']}" for one in told if one.get("error")]
    keys = ("audience", "channel", "event", "sha256", "state", "at", "error")
    return {"event": event, "told": [{key: one.get(key) for key in keys} for one in told], "problems": wrong}


class _Writer:
    """Writes the texts of one event; what is wrong with templates is in ``problems``."""

    def __init__(self, event: str, words: Json, channels: t.Mapping[str, Json], folders: t.Sequence[str]) -> None:
        import jinja2
        import jinja2.sandbox

        # What is described may read what it is given, and nothing of this process.
        self._environment = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
        self._event = event
        self._words = words
        self._channels = channels
        self._folders = folders
        self.problems: list[str] = []

    def write(self, one: Json) -> dict[str, t.Any]:
        """What the audience *one* is told."""
        where = f"{one['audience']}, {self._event}"
        words = {**self._words, "audience": one["audience"]}
        own = "high" if self._event == "failed" else "info"
        title = self._rendered(one.get("title"), _TITLES[self._event], words, where=f"title of {where}")
        return {
            "audience": str(one["audience"]),
            "severity": str(one.get("severity") or own),
            "title": f"{'Drill: ' if self._words['drill'] else ''}{' '.join(title.split())}",
            "text": self._rendered(self._template(one, where), _TEXTS[self._event], words, where=where),
            "channels": [self._channels[name] for name in one["channels"]],
        }

    def _template(self, one: Json, where: str) -> str | None:
        given = (one.get("texts") or {}).get(self._event)
        name = (one.get("files") or {}).get(self._event)
        if given is not None or name is None:
            return None if given is None else str(given)
        for folder in (*self._folders, "."):
            path = pathlib.Path(folder) / str(name)
            if path.is_file():
                try:
                    return path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    self.problems.append(f"{where}: {path} can't be read: {error}")
                    return None
        self.problems.append(f"{where}: there is no file {name} in {' or '.join(self._folders) or 'this folder'}")
        return None

    def _rendered(self, template: str | None, own: str, words: Json, *, where: str) -> str:
        if template is not None:
            try:
                text = self._environment.from_string(str(template)).render(words).strip()
            except Exception as error:  # noqa: BLE001 a template can raise anything, and must not stop a failover
                self.problems.append(f"{where}: the template can't be used: {error}")
            else:
                if text:
                    return text
                self.problems.append(f"{where}: the template gives an empty text")
        return self._environment.from_string(own).render(words).strip()


def _lines(made: t.Sequence[Json], problems: t.Sequence[str]) -> list[str]:
    lines = []
    for one in made:
        names = ", ".join(channel["name"] for channel in one["channels"])
        lines.append(f"{one['audience']} by {names}: {one['title']}")
        lines += [f"  {line}" for line in one["text"].splitlines()]
    return [*lines, *(f"PROBLEM: {problem}" for problem in problems)] or ["Nobody is described to be told."]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {
            "announced": announced,
            "announcement_event": announcement_event,
            "announcements": announcements,
        }
