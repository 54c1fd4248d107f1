# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walking through a page of ``docs/runbooks`` with a real server."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.children import ROOT, environment
from tests.support.command_line import CommandLine, describe
from tests.support.pages import read_page

PAGES = ROOT / "docs" / "runbooks"


@dataclass
class Walk:
    """*folder* holds the command ``lifeboat``, the description and the repository; *variables* are the page's."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def describe(self, source: t.Mapping[str, t.Any]) -> CommandLine:
        """A description with this one source of the service ``shop``."""
        return describe(
            self.folder / "config.yml",
            {
                "lifeboat_settings": {
                    "state_directory": str(self.folder / "state"),
                    "scratch_directory": str(self.folder / "scratch"),
                },
                "lifeboat_repositories": {
                    "local": {"type": "file", "path": str(self.folder / "repository"), "create": True}
                },
                "lifeboat_services": [
                    {"name": "shop", "objectives": {"rpo": "1d", "rto": "2h"}, "sources": [dict(source)]}
                ],
            },
        )

    def command_line(self) -> CommandLine:
        """``lifeboat`` with the description that was written."""
        return CommandLine(configuration=self.folder / "config.yml")

    def through(self, name: str, *numbers: int, **variables: str) -> str:
        """Run the sections of that page whose numbers are given; all that was printed."""
        page = read_page(PAGES / name)
        sections = []
        for number in numbers:
            [section] = [one for one in page.sections if one.startswith(f"{number}. ")]
            sections.append(section)
        return page.run(sections, environment=self.environment(**variables))

    def environment(self, **variables: str) -> dict[str, str]:
        """What the commands of a page find."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        given = {"LIFEBOAT_CONFIG": str(self.folder / "config.yml"), "PATH": path, **self.variables, **variables}
        return environment(**given)


def backup(kind: str, **more: t.Any) -> dict[str, t.Any]:
    """A job of the description."""
    return {"kind": kind, "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"count": 7}, **more}
