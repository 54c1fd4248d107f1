# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host that proves or removes the backups of others is told of them."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from tests.unit.description.samples import description

filters: t.Any = pytest.importorskip("ansible_collections.lifeboat.recovery.plugins.filter.other_hosts")
setup: t.Any = pytest.importorskip("ansible_collections.lifeboat.recovery.plugins.filter.host_setup")

Json = dict[str, t.Any]


def host(name: str, service: int, **more: t.Any) -> Json:
    """One that makes the backups of one of the sample's services."""
    data = description()
    data["lifeboat_services"] = [data["lifeboat_services"][service]]
    return {"inventory_hostname": name, **data, **more}


def table(found: Json, **choices: t.Any) -> list[str]:
    """The commands in the tables of a host that is told *found*."""
    given = [found["services"], found["repositories"], found["settings"]]
    tables = setup.host_timetable(*given, choices, {"host_name": "prover", "program": "lifeboat"})["cron"]
    lines = [line for text in tables.values() for line in text.splitlines() if line and line[0] in "0123456789*"]
    return [line.split("config.yml ")[1].split(" 2>&1")[0] for line in lines]


def test_backups_in_folders_of_another_host_are_left_to_it() -> None:
    found = filters.others_description([host("db1", 0), host("db2", 1)])
    (family, adhd) = found["services"]
    assert [source["name"] for source in family["sources"]] == ["main"]
    assert [backup["kind"] for backup in family["sources"][0]["backups"]] == ["full"]
    assert [backup["name"] for backup in adhd["sources"][0]["backups"]] == ["weekly-base"]
    assert found["left_out"] == [
        "family/main/oplog",
        "family/cache/rdb",
        "family/settings/config",
        "adhd/main/logical",
        "adhd/main/logical.2",
    ]
    assert (found["repository_names"], found["encrypted"], found["servers"]) == (["offsite"], True, ["mongodb"])
    # The alert is for a job that is seen; objectives of how much may be lost are the other host's.
    assert [alert["name"] for alert in family["alerts"]] == ["silent"]
    assert family["objectives"] == {"rto": "1h"}


def test_a_set_is_proved_there_whichever_of_its_sources_are_seen() -> None:
    one = host("db1", 0)
    kept = {"repositories": ["offsite"], "keep": {"within": "12w"}}
    system = {"kind": "system", "schedule": "0 1 * * 6", "options": {"exclude": ["cache"]}, **kept}
    verify = {"level": 4, "schedule": "0 6 * * 6"}
    one["lifeboat_services"][0]["sources"].append(
        {"name": "system", "engine": "files", "backups": [system], "verify": verify}
    )
    found = filters.others_description([one])
    assert "verify family/system --due --quiet" in table(found)


def test_a_stream_is_kept_there_without_the_backups_that_it_is_replayed_behind() -> None:
    one = host("db1", 0)
    stream = {"schedule": "0 */4 * * *", "repositories": ["offsite"], "keep": {"within": "7d"}}
    main = one["lifeboat_services"][0]["sources"][0]
    main["backups"] = [
        {**main["backups"][0], "repositories": ["local"]},
        {"kind": "differential", **stream},
        {"kind": "oplog", **stream, "options": {"slice_mib": 8}},
    ]
    (source,) = filters.others_description([one])["services"][0]["sources"]
    assert [backup["kind"] for backup in source["backups"]] == ["differential", "oplog"]


def test_a_job_keeps_its_name_when_one_before_it_is_not_seen() -> None:
    one = host("db2", 1)
    one["lifeboat_services"][0]["sources"][0]["backups"][1]["repositories"] = ["offsite"]
    (service,) = filters.others_description([one])["services"]
    assert [backup["name"] for backup in service["sources"][0]["backups"]] == ["logical.2", "weekly-base"]


def test_it_proves_and_removes_and_makes_nothing() -> None:
    one = host("db1", 0)
    one["lifeboat_services"][0]["sources"][0]["verify"]["schedule"] = "0 6 * * *"
    both = filters.others_description([one])
    assert table(both, verify=True) == ["verify family/main --due --quiet"]
    remover = filters.others_description([one], verifies=False)
    choices = {"retention": "45 4 * * *", "retention_repositories": remover["repository_names"]}
    assert table(remover, verify=True, **choices) == ["prune family --yes --quiet --repository offsite"]
    assert setup.host_servers(both["services"], both["repositories"], both["settings"], engine="mongodb") == []


def test_times_keep_the_zone_of_the_host_that_they_were_written_for() -> None:
    one = host("db1", 0)
    one["lifeboat_settings"]["timezone"] = "Europe/Berlin"
    one["lifeboat_services"][0]["sources"][0]["verify"]["schedule"] = "0 6 * * *"
    found = filters.others_description([one], {"settings": {"timezone": "UTC"}})
    (source,) = found["services"][0]["sources"]
    assert source["backups"][0]["timezone"] == "Europe/Berlin"
    assert source["verify"]["timezone"] == "Europe/Berlin"
    assert found["settings"] == {"timezone": "UTC", "makes_backups": False}


def test_no_secret_of_a_database_goes_to_another_host() -> None:
    one = host("db1", 0)
    source = one["lifeboat_services"][0]["sources"][0]
    source["connection"] = {"uri": "mongodb://lifeboat:not-for-anybody@db1/"}
    two = host("db2", 1)
    two["lifeboat_services"][0]["sources"][0]["connection"]["password"] = "not-for-anybody"
    found = filters.others_description([one, two])
    assert "not-for-anybody" not in str(found)
    assert found["services"][0]["sources"][0]["connection"] == {"uri": "mongodb://left-out"}
    assert "not-for-anybody" in str(one), "the other host's own is left as it was"


def test_its_own_credentials_come_before_those_of_the_others() -> None:
    own = {"type": "s3", "bucket": "acme-backups", "region": "eu-west-1", "credentials": {"file": "/root/reader.env"}}
    found = filters.others_description([host("db1", 0), host("db2", 1)], {"repositories": {"offsite": own}})
    assert found["repositories"] == {"offsite": own}


def test_folders_that_are_mounted_there_are_named() -> None:
    found = filters.others_description([host("db2", 1)], only=["local"])
    assert found["repository_names"] == ["local"]
    (source,) = found["services"][0]["sources"]
    assert source["backups"][-1]["repositories"] == [{"name": "local", "keep": {"within": "14d"}}]
    with pytest.raises(Exception, match="None of these hosts has a repository nowhere"):
        filters.others_description([host("db2", 1)], only=["offsite", "nowhere"])


def test_what_is_told_of_jobs_that_are_not_seen_is_told_where_they_run() -> None:
    one = host("db1", 0)
    service = one["lifeboat_services"][0]
    service["notifications"] = {
        "mail": {"to": ["a@example.org"], "jobs": ["cache"]},
        "channels": [
            {"name": "phone", "jobs": ["cache/rdb", "main/full"], "webhook": {"url_file": "/etc/lifeboat/phone"}},
            {"name": "desk", "webhook": {"url_file": "/etc/lifeboat/desk"}},
        ],
    }
    service["alerts"] = [
        {"name": "a", "severity": "critical", "no_success_within": "24h", "jobs": ["cache"]},
        {"name": "b", "severity": "critical", "no_success_within": "24h", "notify": ["mail"]},
        {"name": "c", "severity": "critical", "no_success_within": "24h", "notify": ["mail", "desk"]},
    ]
    (seen,) = filters.others_description([one])["services"]
    assert [alert["name"] for alert in seen["alerts"]] == ["c"]
    assert seen["alerts"][0]["notify"] == ["desk"]
    assert [(channel["name"], channel.get("jobs")) for channel in seen["notifications"]["channels"]] == [
        ("phone", ["main/full"]),
        ("desk", None),
    ]
    assert "mail" not in seen["notifications"]


def test_hosts_that_share_a_service_come_together_or_are_refused() -> None:
    first, second = host("db1", 0), host("db2", 1)
    second["lifeboat_services"][0]["name"] = "family"
    second["lifeboat_services"][0]["sources"][0]["name"] = "orders"
    (service,) = filters.others_description([first, second])["services"]
    assert [source["name"] for source in service["sources"]] == ["main", "orders"]
    assert len(filters.others_description([first, host("db3", 0)])["services"]) == 1
    second["lifeboat_services"][0]["sources"][0]["name"] = "main"
    with pytest.raises(Exception, match="describe family/main in two ways"):
        filters.others_description([first, second])


def test_repositories_of_one_name_and_two_places_are_refused() -> None:
    second = host("db2", 1)
    second["lifeboat_repositories"]["offsite"]["bucket"] = "another"
    with pytest.raises(Exception, match="The repository offsite of db2 is another"):
        filters.others_description([host("db1", 0), second])


def test_a_host_without_backups_and_backups_that_nobody_else_reads_are_refused() -> None:
    with pytest.raises(Exception, match="web has no lifeboat_services"):
        filters.others_description([{"inventory_hostname": "web"}])
    one = host("db1", 0)
    del one["lifeboat_services"][0]["sources"][0]
    one["lifeboat_services"][0].pop("alerts")
    one["lifeboat_services"][0].pop("exercises")
    with pytest.raises(Exception, match="None of the backups can be read from another host"):
        filters.others_description([one])


@pytest.mark.parametrize("name", ["family", "adhd"])
def test_every_backup_of_a_reference_service_is_proved_by_somebody_or_waits_for_no_proof(name: str) -> None:
    """Retention removes nothing where it waits for proofs that nobody can make."""
    inventory = pathlib.Path(__file__).resolve().parents[3] / "inventories" / name
    groups = yaml.safe_load((inventory / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
    (makes,) = groups[name]["hosts"]
    prover, own = next(iter(groups[f"{name}_verify"]["hosts"].items()))
    assert (groups[name]["vars"]["verify_on"], own["verify_for"]) == (prover, [makes])
    told: Json = {"inventory_hostname": makes}
    for path in (inventory / "group_vars" / name).glob("*.yml"):
        told.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    found = filters.others_description([told], {"settings": own["lifeboat_settings"]})
    assert found["encrypted"]
    assert found["settings"]["decryption"]
    given = (told["lifeboat_services"], told["lifeboat_repositories"], told["lifeboat_settings"])
    backups = [job for job in filters.read(*given).jobs() if job.runnable]
    alone = [job for job in backups if job.id in found["left_out"]]
    assert {use.keep.minimum_verified for job in alone for use in job.repositories if not use.is_version_control} <= {0}
