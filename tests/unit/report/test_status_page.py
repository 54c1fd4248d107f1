# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status for people: a table, and a page that needs nothing beside itself and trusts no text."""

from __future__ import annotations

import html.parser
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.status_charts import Bar, bars, meter
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.status_page import status_page
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.status_text import status_text
from tests.support.watched import NOW, Watched

EVIL = "<script>alert('x')</script>\"&"
Json = dict[str, t.Any]


class Parsed(html.parser.HTMLParser):
    """The tags of a page, its text, and whether each was closed."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID or (tag == "rect" and not self.get_starttag_text().endswith("/>")):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def document(tmp_path: pathlib.Path) -> Json:
    """One job with two backups, of which the newest failed its verification and is missing somewhere."""
    site = Watched(tmp_path)
    site.verification(site.backup(27, size=2_000_000), hours_ago=25)
    site.verification(site.backup(3, repositories=("local",)), hours_ago=1, passed=False)
    return site.report().document


def page_of(*documents: Json | None) -> str:
    hosts = [
        {"host": f"db{number}", "status": document, "error": None if document else f"No route {EVIL}"}
        for number, document in enumerate(documents)
    ]
    return status_page(hosts, now=NOW)


def test_the_page_is_whole_in_itself_and_runs_nothing(document: Json) -> None:
    page = page_of(document)
    parsed = Parsed(page)
    assert parsed.open == []
    tags = {tag for tag, _attributes in parsed.tags}
    assert {"svg", "h1", "table", "section"} <= tags
    assert not tags & {"script", "link", "img", "iframe", "object", "a", "form"}
    names = {name for _tag, attributes in parsed.tags for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "href", "style")]
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    assert 'name="viewport"' in page


def test_no_text_of_a_server_becomes_a_tag(document: Json) -> None:
    def spoiled(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: spoiled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoiled(item) for item in value]
        return value + EVIL if isinstance(value, str) and "T0" not in value and "T1" not in value else value

    clean = len(Parsed(page_of(document)).tags)
    page = page_of(spoiled(document))
    assert "<script" not in page
    assert len(Parsed(page).tags) == clean
    assert "&lt;script&gt;" in page


def test_the_page_tells_every_fact(document: Json) -> None:
    words = " ".join(Parsed(page_of(document)).words)
    for told in (
        "family/main/full",
        "2 to look at now",
        "failed its verification",
        "17 rows are <missing>.",
        "-50.0 %",
        "daily at 02:00",
        "passed at 4 of 4",
        "failed at 2 of 4",
        "rpo missed",
        "Size of the last 2",
        "Duration of the last 2",
        "offsite",
    ):
        assert told in words, told


def test_hosts_that_could_not_be_asked_stand_on_the_page_with_the_others(document: Json) -> None:
    page = page_of(document, None)
    words = " ".join(Parsed(page).words)
    assert "Backups of 2 hosts" in words
    assert "1 of 2 hosts answered" in words.replace("  ", " ")
    assert "Could not be asked." in words
    assert f"No route {EVIL}" in words
    assert "All is well" not in words


def test_a_good_host_is_said_to_be_well(tmp_path: pathlib.Path) -> None:
    site = Watched(tmp_path)
    site.verification(site.backup(3), hours_ago=1)
    document = site.report().document
    assert "All is well" in page_of(document)
    text = status_text(document, now=NOW)
    assert text.endswith("All is well.")
    assert text.splitlines()[2].split()[:2] == ["family/main/full", "ok"]


def test_the_table_tells_state_change_proof_and_the_next_command(document: Json) -> None:
    text = status_text(document, now=NOW)
    row = text.splitlines()[2]
    for told in ("family/main/full", "3 h 0 min ago", "1 MB", "-50.0 %", "(an older one)", "in 21 h 0 min"):
        assert told in row, told
    assert "critical: family/main/full: The newest backup," in text
    assert "  hint: lifeboat show 2026" in text
    assert "warning: family/main/full: The newest backup is not in offsite." in text
    assert text.index("critical:") < text.index("warning:")


def test_charts_begin_at_zero_and_keep_their_bounds() -> None:
    assert bars([Bar(5, "one")], title="alone") == ""
    chart = bars([Bar(0, "none"), Bar(50, "half"), Bar(100, "all", is_bad=True)], title="<sizes>")
    heights = [float(part.split('"')[0]) for part in chart.split(' height="')[1:]]
    assert heights == [1.0, 24.0, 48.0]
    assert "&lt;sizes&gt;" in chart
    assert chart.count('class="bad"') == 1
    assert bars([Bar(0, "a"), Bar(0, "b")], title="zero")
    assert 'width="100.0"' in meter(7.0, title="over", name="bad")
    assert 'width="0.0"' in meter(-1.0, title="under", name="good")
