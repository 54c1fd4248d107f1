# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ..errors import PartsMissing, SandboxError
from ..files import replace_file
from ..parts import missing_parts
from .credentials import Secrets, age_key_pair
from .layout import Layout
from .progress import Progress
from .servers import PARTS

if t.TYPE_CHECKING:
    from pathlib import Path

    from .servers import Description, Part

FORMAT = 1


def up(directory: Path, *, megabytes: float) -> None:
    """Start what doesn't run, load what isn't loaded, write sandbox.json; SandboxError when a server fails."""
    progress = Progress()
    missing = missing_parts()
    if missing:
        raise PartsMissing(missing)
    layout = Layout.at(directory)
    layout.create()
    with layout.locked():
        secrets = Secrets.load_or_make(layout.credentials)
        recipient, identity = age_key_pair(layout.credentials)
        parts = [make(layout, secrets) for make in PARTS]
        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            running = [pool.submit(_bring_up, part, megabytes, progress) for part in parts]
        described: Description = {"format": FORMAT, "directory": str(layout.root), "megabytes": megabytes}
        problems = []
        changed = False
        for part, outcome in zip(parts, running, strict=True):
            error = outcome.exception()
            if error is None:
                described[part.name], worked = outcome.result()
                changed = changed or worked
            elif isinstance(error, Exception):
                problems.append(f"{part.name}: {error}")
            else:
                raise error
        described["age"] = {"recipient": recipient, "identity_file": str(identity)}
        described["scratch_directory"] = str(layout.elsewhere / "tmp")  # short enough for sockets; down empties it
        if problems:
            raise SandboxError("\n".join(problems))
        replace_file(layout.description, json.dumps(described, indent=2) + "\n", mode=0o644)
    if changed:
        progress.say("sandbox", f"ready; connection data: {layout.description}")
    else:
        progress.say("sandbox", f"everything runs already, with {megabytes:g} MB of sample data: {layout.description}")


def _bring_up(part: Part, megabytes: float, progress: Progress) -> tuple[Description, bool]:
    """(description, whether anything had to be done)."""
    begun = progress.seconds
    started = part.ensure_running()
    described = part.describe()
    if started:
        progress.say(part.name, f"serves on {described['host']}:{described['port']} ({progress.seconds - begun:.1f} s)")
    loaded = part.load(megabytes)
    if loaded is None or loaded.skipped:
        return described, started
    text = f"loaded {loaded.items:,} items of {loaded.what}, {loaded.megabytes:g} MB ({loaded.seconds:.1f} s)"
    progress.say(part.name, text)
    return described, True


def read_description(layout: Layout) -> Description | None:
    """The sandbox.json of the last ``up``; None when there is none. SandboxError when it can't be read."""
    try:
        content: t.Any = json.loads(layout.description.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SandboxError(f"{layout.description} is damaged ({error}): python -m sandbox down, then up") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SandboxError(f"{layout.description} is of another version: python -m sandbox down, then up")
    return content
