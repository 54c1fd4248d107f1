# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat status`` and ``lifeboat config check`` as a person types them."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog import catalog
from tests.support.command_line import CommandLine, describe
from tests.support.watched import Watched, mongodb_source
from tests.unit.description.samples import RECIPIENT


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Watched:
    return Watched(tmp_path / "site", now=datetime.datetime.now(tz=datetime.timezone.utc))


def lifeboat(site: Watched) -> CommandLine:
    return describe(site.folder / "config.json", site.mapping)


def test_a_job_that_is_well_ends_with_0_and_its_page_is_written(site: Watched) -> None:
    site.verification(site.backup(0.1), hours_ago=0.05)
    page = site.folder / "status page.html"
    said = lifeboat(site)("status --html", str(page)).succeeded()
    assert "All is well." in said.out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in site.folder.iterdir() if path.name.startswith(".")] == []


def test_exit_statuses_tell_scripts_what_it_is(site: Watched) -> None:
    command = lifeboat(site)
    said = command("status").ended(1)
    assert "critical: family/main/full: There is no backup." in said.out
    assert "  hint: lifeboat backup family/main/full" in said.out
    site.backup(0.1, repositories=("local",))
    command("status").ended(3)
    site.ran(hours_ago=0.01)
    assert command("status --json").ended(1).document["well"] is False
    command("status family/nope").refused("configuration.job_unknown")


def test_a_description_of_a_moment_ago_makes_nothing_overdue(site: Watched) -> None:
    command = lifeboat(site)
    assert "overdue" not in command("status").out
    old = (datetime.datetime.now(tz=datetime.timezone.utc) - datetime.timedelta(days=3)).timestamp()
    os.utime(command.configuration, (old, old))
    assert "overdue" in command("status").out


@pytest.mark.parametrize("place", ["nowhere/page.html", "."])
def test_a_page_that_can_not_be_written_is_refused(site: Watched, place: str) -> None:
    site.backup(0.1)
    lifeboat(site)("status --html", str(site.folder / place)).refused("output.unwritable")


def test_config_check_says_what_is_well_and_names_what_is_not(site: Watched) -> None:
    said = lifeboat(site)("config check").succeeded()
    assert "1 service, 1 job; every objective can be met." in said.out
    site.objectives = {"rpo": "5m"}
    refused = lifeboat(site)("config check").refused("configuration.objectives_unmet", hint="lifeboat config check")
    for told in ("family/main", "an rpo of 5 minutes", "full", "Run family/main/full at least every 5 minutes"):
        assert told in refused.err, told
    document = lifeboat(site)("config check --json").ended(2).document
    (one,) = document["error"]["details"]["objectives"]
    assert one["place"] == "family/main"
    # what runs at night is not held up by it
    site.backup(0.1)
    assert "an rpo of 5 minutes can't be met" in lifeboat(site)("status").err


def test_config_check_tells_every_mistake_at_once(site: Watched) -> None:
    mapping = site.mapping
    mapping["lifeboat_services"][0]["sources"][0]["backups"][0].update(schedule="61 2 * * *", kept=3)
    command = describe(site.folder / "config.json", mapping)
    said = command("config check").refused("configuration.invalid")
    assert "2 problems" in said.err
    (site.folder / "config.json").write_text("{", encoding="utf-8")
    command("config check").refused("configuration.unreadable")


def test_config_check_looks_at_the_files_that_are_named_when_asked_to(site: Watched) -> None:
    recipients = site.folder / "recipients.txt"
    mapping = site.mapping
    mapping["lifeboat_services"][0]["sources"][0]["connection"] = {"uri_env": "NOWHERE"}
    mapping["lifeboat_settings"]["encryption"] = {"recipients_file": str(recipients)}
    command = describe(site.folder / "config.json", mapping)
    command("config check").succeeded()
    refused = command("config check --files").refused("configuration.files_unusable", hint="age-keygen -y")
    assert f"{recipients} (recipients_file of family/main/full): it is not there." in refused.err
    recipients.write_text(f"{RECIPIENT}\n", encoding="utf-8")
    assert "1 file is named, and can be used here." in command("config check --files").succeeded().out
    (file,) = command("config check --files --json").succeeded().document["files"]
    assert (file["path"], file["use"]) == (str(recipients), "recipients")


def test_config_check_says_what_this_version_does_not_write_to(site: Watched) -> None:
    kind = {"kind": "config", "schedule": "0 2 * * *", "repositories": ["history", "local"], "keep": {"count": 3}}
    files = {"name": "conf", "engine": "files", "connection": {"paths": ["/etc"]}, "backups": [kind]}
    mapping = {**site.mapping, "lifeboat_services": [{"name": "family", "sources": [files]}]}
    mapping["lifeboat_repositories"]["history"] = {"type": "git", "url": "git@git.example.org:a/b.git"}
    said = describe(site.folder / "config.json", mapping)("config check --json").succeeded()
    (warning,) = said.document["warnings"]
    assert warning == "family/conf/config: history is version control, which this version doesn't write to."
    assert warning in said.err


@pytest.mark.thorough
def test_of_two_hundred_jobs_each_catalog_is_looked_at_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = [{"kind": "full", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"count": 3}}]
    sources = [mongodb_source(name=f"source-{number:03}", backups=backups) for number in range(200)]
    site = Watched(tmp_path / "site", now=datetime.datetime.now(tz=datetime.timezone.utc), sources=sources)
    for number in range(200):
        for hours in (0.1, 24.1):
            site.backup(hours, source=f"source-{number:03}", repositories=("local",))
    listed: list[t.Any] = []
    find = catalog.find_series

    def noted(storage: t.Any, selection: t.Any) -> t.Any:
        listed.append((storage.properties.url, selection))
        return find(storage, selection)

    monkeypatch.setattr(catalog, "find_series", noted)
    said = lifeboat(site)("status --json --html", str(tmp_path / "page.html")).ended(0)
    assert len(said.document["jobs"]) == 200
    assert len(listed) == len(set(map(str, listed))) == 200
    assert json.loads(said.out)["well"]
