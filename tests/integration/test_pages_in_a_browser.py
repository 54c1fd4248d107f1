# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages for people in a real browser: on a phone, in the dark, on paper. Skipped where there is no Chromium.

With LIFEBOAT_PICTURES=FOLDER each of them is kept as a picture, to be looked at.
"""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.copies import read_copies
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.proof import examine
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.record import record
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.evidence_page import evidence_page
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.status_page import status_page
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import Storage
from tests.support.browser import PROGRAMS, Browser, browser, program
from tests.support.failovers import write_failover
from tests.support.memory import MemoryStorage
from tests.support.watched import NOW, Watched, mongodb_source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason=f"no browser: none of {', '.join(PROGRAMS)}, no LIFEBOAT_BROWSER"),
]

_PHONE, _DESK = 390, 1280
_LONG = "the-largest-database-of-the-whole-company-with-a-name-to-match"
# What sticks out to the right, but for what scrolls within its own frame.
_STICKING_OUT = """
[...document.querySelectorAll('main, main *')]
  .filter(one => !one.closest('.scroll') && !one.closest('svg *') && one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.tagName + '.' + one.className + ': ' + one.textContent.slice(0, 60))
"""
# What nobody can read to its end.
_CUT = """
[...document.querySelectorAll('main *')]
  .filter(one => one.children.length === 0 && getComputedStyle(one).overflowX === 'hidden'
                 && one.scrollWidth > one.clientWidth + 1)
  .map(one => one.tagName + ': ' + one.textContent.slice(0, 60))
"""
_SMALLEST = """
Math.min(...[...document.querySelectorAll('main *')].filter(one => one.children.length === 0 && one.textContent)
  .map(one => parseFloat(getComputedStyle(one).fontSize)))
"""
_SIZE_OF = "(name => parseFloat(getComputedStyle(document.querySelector(name)).fontSize))"
_COLOURS = "['backgroundColor', 'color'].map(one => getComputedStyle(document.body)[one])"


def _status(folder: pathlib.Path) -> str:
    daily = {"repositories": ["local", "offsite"], "keep": {"within": "30d"}}
    backups = [
        {"kind": "full", "schedule": "0 2 * * *", **daily},
        {"kind": "oplog", "triggers": ["continuous"], **daily},
    ]
    site = Watched(folder / "one", sources=[mongodb_source(backups=backups), mongodb_source(name=_LONG)])
    for day in range(24, 1, -1):
        site.backup(day * 24 + 3, size=90_000_000 + day * 1_000_000 * (day % 5), seconds=40 + day % 7)
    site.verification(site.backup(27, size=95_000_000), hours_ago=25)
    site.verification(site.backup(3, size=97_000_000, repositories=("local",)), hours_ago=1, passed=False)
    well = Watched(folder / "two")
    well.verification(well.backup(3), hours_ago=1)
    hosts: list[dict[str, t.Any]] = [
        {"host": "db1.example.org", "status": site.report().document, "error": None},
        {"host": "db2.example.org", "status": well.report().document, "error": None},
        {"host": "db3.example.org", "status": None, "error": "/a/path/without/an/end" * 9},
    ]
    return status_page(hosts, now=NOW)


def _evidence(_folder: pathlib.Path) -> str:
    storages: dict[str, Storage] = {"local": MemoryStorage(), "offsite": MemoryStorage()}
    write_failover(storages)
    found = examine(read_copies("adhd", "run-0001", storages=storages), service="adhd", run="run-0001", now=NOW)
    return evidence_page(record(found.entries), found.as_dict(), now=NOW)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.mark.parametrize("make", [_status, _evidence])
def test_a_page_can_be_read_everywhere(
    seen: Browser, make: t.Callable[[pathlib.Path], str], tmp_path: pathlib.Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(make(tmp_path), encoding="utf-8")

    def show(name: str, *, width: int, scheme: str = "light", media: str = "") -> list[str]:
        seen.open(page, width=width, scheme=scheme, media=media)
        if folder := os.environ.get("LIFEBOAT_PICTURES"):
            seen.picture(pathlib.Path(folder) / f"{make.__name__.strip('_')}-{name}.png")
        assert seen.requests == [page.as_uri()], "it loads something"
        assert seen.ask(_STICKING_OUT) == [], name
        assert seen.ask(_CUT) == [], name
        assert seen.ask("document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls to the side"
        return t.cast("list[str]", seen.ask(_COLOURS))

    assert show("phone", width=_PHONE) == (light := show("light", width=_DESK))
    assert show("phone-dark", width=_PHONE, scheme="dark") == (dark := show("dark", width=_DESK, scheme="dark"))
    assert set(light).isdisjoint(dark), "the dark page has the colours of the light one"
    back, text = show("paper", width=794, scheme="dark", media="print")
    assert (back, text) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)"), "ink on the whole sheet"
    assert seen.ask(_SMALLEST) >= 8.5, "nobody can read that on paper"
    assert seen.ask(f"{_SIZE_OF}('dt') < {_SIZE_OF}('dd')"), "labels are larger than what they are for"
    assert seen.ask("document.scripts.length") == 0
    assert seen.paper().startswith(b"%PDF")
