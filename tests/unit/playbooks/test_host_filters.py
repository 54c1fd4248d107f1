# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles ask of the description, and the wheel that they install."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
import sys
import typing as t
import zipfile

import pytest

from tests.unit.description.samples import RECIPIENT, changed, description

filters: t.Any = pytest.importorskip("ansible_collections.lifeboat.recovery.plugins.filter.host_setup")
wheels: t.Any = pytest.importorskip("ansible_collections.lifeboat.recovery.plugins.lookup.agent_wheels")


def given(data: t.Mapping[str, t.Any]) -> list[t.Any]:
    return [data["lifeboat_services"], data["lifeboat_repositories"], data["lifeboat_settings"]]


def test_a_host_is_told_of_its_own_repositories_only() -> None:
    data = description()
    data["lifeboat_services"] = data["lifeboat_services"][1:]  # adhd: local and offsite
    found = filters.host_configuration(*given(data))
    assert set(found["description"]["lifeboat_repositories"]) == {"local", "offsite"}
    assert found["extras"] == ["postgresql", "s3"]
    assert found["folders"] == ["/var/backups/lifeboat"]
    assert found["spools"] == []
    assert found["has_secrets"] is False
    # What is written for the host is right by itself.
    assert filters.host_configuration(*given(found["description"]))["jobs"] == found["jobs"]


def test_an_objective_that_no_schedule_meets_is_found_with_what_to_change() -> None:
    assert filters.host_configuration(*given(description()))["unmet"] == []
    (said,) = filters.host_configuration(*given(changed("lifeboat_services.1.objectives", {"rpo": "5m"})))["unmet"]
    assert "an rpo of 5 minutes can't be met" in said
    assert "at least every 5 minutes" in said


def test_what_a_host_is_to_prove_and_can_not_open_is_named() -> None:
    data = description()
    for source in (one for service in data["lifeboat_services"] for one in service["sources"]):
        source["verify"] = {"level": 4}
    main, cache = data["lifeboat_services"][0]["sources"][:2]
    main["verify"] = {"level": 2, "schedule": "0 6 * * *"}
    cache["verify"] = {"level": 1, "schedule": "0 6 * * *"}
    assert filters.host_configuration(*given(data))["unreadable"] == []
    data["lifeboat_settings"]["encryption"] = {"recipients": [RECIPIENT]}
    assert filters.host_configuration(*given(data))["unreadable"] == ["family/main"]
    data["lifeboat_settings"]["decryption"] = {"identity_file": "/etc/lifeboat/identity.txt"}
    assert filters.host_configuration(*given(data))["unreadable"] == []


def test_a_secret_by_value_is_noticed() -> None:
    data = changed("lifeboat_services.0.sources.1.connection", {"port": 6379, "password": "not-for-anybody"})
    assert filters.host_configuration(*given(data))["has_secrets"] is True


def test_a_mistake_is_refused_with_its_place() -> None:
    with pytest.raises(Exception, match="the hour field '25'"):
        filters.host_configuration(*given(changed("lifeboat_services.0.sources.1.backups.0.schedule", "0 25 * * *")))


def test_the_spool_of_a_server_is_found() -> None:
    data = description()
    backups = data["lifeboat_services"][1]["sources"][0]["backups"]
    backups.append({"kind": "wal", "triggers": ["continuous"], "repositories": ["local"], "keep": {"within": "8w"}})
    # The file with the recipients is on the host, not on the controller.
    data["lifeboat_settings"]["encryption"] = {"recipients_file": "/etc/lifeboat/nowhere.txt"}
    assert filters.host_configuration(*given(data))["spools"] == ["adhd/main/wal"]
    (server,) = filters.host_servers(*given(data), engine="postgresql")
    assert server["spool"] == "/var/spool/lifeboat/adhd.main.wal"
    filters.host_timetable(*given(data), {}, {"host_name": "db1", "program": "lifeboat"})


def test_servers_are_those_that_this_host_backs_up_by_itself() -> None:
    data = description()
    (main,) = [one for one in filters.host_servers(*given(data), engine="postgresql") if one["source"] == "main"]
    assert main["id"] == "adhd/main"
    assert "wal" not in main["kinds"]
    assert main["spool"] is None
    source = data["lifeboat_services"][1]["sources"][0]
    source["backups"].append(
        {"kind": "wal", "triggers": ["continuous"], "repositories": ["local"], "keep": {"within": "8w"}}
    )
    source["connection"] = {"host": "127.0.0.1", "user": "lifeboat"}
    (main,) = filters.host_servers(*given(data), engine="postgresql")
    assert (main["spool"], main["is_local"]) == ("/var/spool/lifeboat/adhd.main.wal", True)
    assert "wal" in main["kinds"]
    source["connection"] = {"host": "db1.example", "user": "lifeboat"}
    assert filters.host_servers(*given(data), engine="postgresql")[0]["is_local"] is False
    assert main["walg"] is False
    walg = {"kind": "base", "name": "by-walg", "options": {"tool": "walg", "walg": {"config": "/etc/wal-g/main.json"}}}
    source["backups"].append({**walg, "schedule": "0 1 * * *", "repositories": ["local"], "keep": {"within": "8w"}})
    assert filters.host_servers(*given(data), engine="postgresql")[0]["walg"] is True
    # What nothing starts is made elsewhere: this host only verifies it.
    for backup in source["backups"]:
        backup.pop("schedule", None)
        backup.pop("triggers", None)
    assert filters.host_servers(*given(data), engine="postgresql") == []
    assert filters.host_servers(*given(data), engine="mongodb")[0]["manages"] is False


def test_lengths_of_time_are_texts_or_seconds() -> None:
    run = {"host_name": "one", "splay": "5m", "boot_delay": 3}
    table = filters.host_timetable(*given(description()), {"wait": "10m"}, run)["cron"]["lifeboat-family"]
    assert "--wait 600" in table
    assert "sh -c 'sleep 3; " in table


def test_an_unknown_repository_or_choice_is_refused() -> None:
    with pytest.raises(Exception, match=r"There is no repository nowhere\. Repositories: local"):
        filters.host_timetable(*given(description()), {"retention_repositories": ["nowhere"]}, {"host_name": "one"})
    with pytest.raises(Exception, match="'each night' has 2 fields"):
        filters.host_timetable(*given(description()), {"retention": "each night"}, {"host_name": "one"})


@pytest.mark.parametrize(
    ("listing", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Berlin\n", "Europe/Berlin"),
        ("/usr/share/zoneinfo/Etc/UTC", "Etc/UTC"),
        ("", "UTC"),
        ("/etc/localtime", ""),  # a copy, which does not say of what
    ],
)
def test_the_zone_of_a_host(listing: str, zone: str) -> None:
    assert filters.host_zone(listing) == zone


@pytest.mark.thorough
def test_the_wheel_is_a_package_that_pip_installs(tmp_path: pathlib.Path) -> None:
    packed = wheels.pack(tmp_path, [], engine=True)
    with zipfile.ZipFile(packed["path"]) as archive:
        archive.extractall(tmp_path)
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(tmp_path / wheels.WHEEL)], check=True)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import lifeboat.cli as c; print(c.__file__)"
    said = subprocess.run([sys.executable, "-I", "-c", script, str(target)], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(str(target))
    assert (target / "bin/lifeboat").exists()


def test_the_digest_follows_the_content(tmp_path: pathlib.Path) -> None:
    data, digest = wheels.build_wheel()
    again, same = wheels.build_wheel()
    assert (hashlib.sha256(data).digest(), digest) == (hashlib.sha256(again).digest(), same)


def test_an_engine_in_the_folder_gives_way_to_the_collection_s(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("lifeboat-0.0.9-py3-none-any.whl", "other-1-py3-none-any.whl"):
        (folder / name).write_bytes(b"")
    found = sorted(folder.glob("*.whl"))
    assert wheels.pack(tmp_path, found, engine=True)["names"] == [wheels.WHEEL, "other-1-py3-none-any.whl"]
    assert wheels.pack(tmp_path, found, engine=False)["names"] == [one.name for one in found]


def test_an_empty_wheelhouse_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Exception, match="has no wheels in it"):
        wheels._wheels_in(tmp_path)


def test_who_is_told_is_read_off_the_description() -> None:
    channels = [{"name": "phone", "apprise": {"url_file": "/etc/lifeboat/phone"}}]
    data = changed("lifeboat_services.0.notifications", {"mail": {"to": ["a@example.org"]}, "channels": channels})
    name = data["lifeboat_services"][0]["name"]
    found = filters.host_channels(*given(data))
    assert [one for one in found["names"] if one.startswith(name)] == [f"{name}/mail", f"{name}/phone"]
    assert {"name": f"{name}/phone", "kind": "apprise"} in found["channels"]


def test_an_address_of_apprise_by_value_is_a_secret() -> None:
    channels = [{"name": "phone", "apprise": {"url": "slack://not/for/anybody"}}]
    data = changed("lifeboat_services.0.notifications", {"channels": channels})
    assert filters.host_configuration(*given(data))["has_secrets"] is True


def test_the_role_of_files_passes_over_sets() -> None:
    job = {"schedule": "0 1 * * 6", "repositories": ["local"], "keep": {"within": "12w"}}
    data = description()
    data["lifeboat_services"][0]["sources"] += [
        {
            "name": "web",
            "engine": "files",
            "connection": {"paths": ["/etc/nginx"]},
            "backups": [{"kind": "config", **job}],
        },
        {"name": "whole", "engine": "files", "backups": [{"kind": "system", **job}]},
    ]
    sources = [one["source"] for one in filters.host_servers(*given(data), engine="files")]
    assert "web" in sources
    assert "whole" not in sources
