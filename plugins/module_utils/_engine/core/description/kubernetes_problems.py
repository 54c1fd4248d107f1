# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the schema can't see of applications on Kubernetes: keys that belong together, expressions that are none."""

from __future__ import annotations

import re
import typing as t

from .problems import Problem, nearest
from .reading import Entry, entries, mapping, names_of, text_at


def kubernetes_problems(service: Entry) -> t.Iterator[Problem]:
    """Everything about the service's applications on Kubernetes that can't be meant."""
    sources = names_of(entries(service.data, service.path, "sources"))
    for application in entries(service.data, service.path, "applications"):
        kubernetes = mapping(application.data.get("kubernetes"))
        path = (*application.path, "kubernetes")
        for index, file in enumerate(kubernetes.get("manifests") or ()):
            if isinstance(file, str) and file and not file.startswith("/"):
                yield Problem((*path, "manifests", index), "is not an absolute path.", "Begin it with a slash.")
        for wire in entries(kubernetes, path, "wiring"):
            yield from _wire(wire, sources)


def _wire(wire: Entry, sources: t.Sequence[str]) -> t.Iterator[Problem]:
    for key, other in (("key", "secret"), ("container", "env")):
        if key in wire.data and other not in wire.data:
            yield Problem((*wire.path, key), f"is of no use without {other}.", "Take it out.")
    if "secret" in wire.data and "key" not in wire.data:
        yield Problem(wire.path, "does not say which key of the Secret.", "Add key: NAME.")
    match = text_at(wire.data, "match")
    if match is not None:
        try:
            re.compile(match)
        except re.error as error:
            yield Problem((*wire.path, "match"), f"is no regular expression: {error}.", "Mend it.")
    source = text_at(wire.data, "source")
    if source is not None and source not in sources:
        guess = nearest(source, sources)
        text = f"the service has no source {source[:63]!r}{'; ' + guess if guess else '.'}"
        yield Problem((*wire.path, "source"), text, f"It has: {', '.join(sources)}.")
