# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does by its clock: both reference services, and the traps of cron and systemd."""

from __future__ import annotations

import pathlib
import re
import shlex
import typing as t

import pytest
import yaml

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.description import (
    Description,
    load_description,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.description.schedule import parse_schedule
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations.host_schedule import (
    HostSchedule,
    ScheduleChoices,
    ScheduledCall,
    ServiceSchedule,
    host_schedule,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.cron_table import cron_tables, table_name
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.host_run import HostRun
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.report.systemd_units import systemd_units
from tests.unit.description.samples import description as sample

INVENTORIES = pathlib.Path(__file__).resolve().parents[3] / "inventories"
RUN = HostRun(host_name="one", year=2026, program="lifeboat")
PROGRAM = "lifeboat --config /etc/lifeboat/config.yml"
CALL = f"nice -n 10 ionice -c 2 -n 7 {PROGRAM}"
SYSLOG = "2>&1 | logger -t lifeboat"


def reference(name: str) -> Description:
    data: dict[str, t.Any] = {}
    for path in sorted((INVENTORIES / name / "group_vars" / name).glob("*.yml")):
        data.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return load_description(data)


def lines_of(table: str) -> list[str]:
    """Without comments and settings."""
    return [line for line in table.splitlines() if re.match(r"[0-9*@]", line)]


def base_lines(table: str) -> list[str]:
    return [line for line in lines_of(table) if line[0] != "@" and "base" in line]


def one(words: t.Sequence[str], expression: str = "0 2 * * *", name: str = "a") -> HostSchedule:
    call = ScheduledCall(name=f"{name}:b", title="a/b", words=tuple(words), schedule=parse_schedule(expression))
    return HostSchedule(services=(ServiceSchedule(service=name, calls=(call,)),), left_out=())


def test_the_table_of_family() -> None:
    schedule = host_schedule(reference("family"), ScheduleChoices(retention="45 4 * * *"))
    tables = cron_tables(schedule, RUN)
    assert list(tables) == ["lifeboat-family"]
    found = lines_of(tables["lifeboat-family"])
    lines = [line for line in found if line[0] != "@"]
    # cron takes no longer lines.
    boots = [line for line in found if line[0] == "@"]
    assert lines == [
        f"0 2 * * *\troot\t{CALL} backup family/main/full --quiet --wait 3600 {SYSLOG}",
        f"*/15 * * * *\troot\t{CALL} ship family/main/oplog --once --quiet {SYSLOG}",
        f"30 2 * * *\troot\t{CALL} backup family/cache/rdb --quiet --wait 3600 {SYSLOG}",
        f"0 3 * * 0\troot\t{CALL} backup family/configuration/config --quiet --wait 3600 {SYSLOG}",
        f"* * * * *\troot\t{CALL} backup family/configuration/config --trigger change --quiet {SYSLOG}",
        f"0 1 * * 6\troot\t{CALL} backup family/system/system --quiet --wait 3600 {SYSLOG}",
        f"0 6 * * *\troot\t{CALL} verify family/main --due --quiet {SYSLOG}",
        f"0 6 * * *\troot\t{CALL} verify family/cache --due --quiet {SYSLOG}",
        f"0 6 * * *\troot\t{CALL} verify family/configuration --due --quiet {SYSLOG}",
        f"0 6 * * *\troot\t{CALL} verify family/code --due --quiet {SYSLOG}",
        f"0 6 * * *\troot\t{CALL} verify family/system --due --quiet {SYSLOG}",
        # Not in the cloud: a host that makes backups should not be able to delete them there.
        f"45 4 * * *\troot\t{CALL} prune family --yes --quiet --repository local {SYSLOG}",
    ]
    assert all(boot.startswith("@reboot\troot\tsh -c 'sleep 60; ") for boot in boots)
    caught_up = [command for boot in boots for command in re.findall(r"config.yml ([^;']+)", boot)]
    assert caught_up == [
        "backup family/main/full --quiet --wait 3600 --due",
        "backup family/cache/rdb --quiet --wait 3600 --due",
        "backup family/configuration/config --quiet --wait 3600 --due",
        "backup family/system/system --quiet --wait 3600 --due",
        "verify family/main --due --quiet",
        "verify family/cache --due --quiet",
        "verify family/configuration --due --quiet",
        "verify family/code --due --quiet",
        "verify family/system --due --quiet",
    ]
    assert all("incremental" not in line and "system" not in line for line in schedule.left_out)


def test_the_table_of_adhd() -> None:
    schedule = host_schedule(reference("adhd"), ScheduleChoices())
    lines = lines_of(cron_tables(schedule, RUN)["lifeboat-adhd"])
    times = {re.search(r"config.yml (\S+ \S+)", line)[1]: line.split("\t")[0] for line in lines if line[0] != "@"}  # type: ignore[index]
    assert times == {
        "backup adhd/main/logical": "0 2 * * *",
        "backup adhd/main/base": "0 1 * * *",
        "backup adhd/main/incremental": "0 9-18 * * *",
        "ship adhd/main/wal": "* * * * *",
        "backup adhd/cache/rdb": "*/5 * * * *",
        "backup adhd/cache/aof": "40 * * * *",
        "backup adhd/assets/static": "0 3 * * *",
        "backup adhd/logs/shipped": "10 * * * *",
        "verify adhd/main": "0 4 * * *",
        "verify adhd/cache": "0 4 * * *",
    }
    # Runs never queue up: half the time to the next one at most.
    assert [re.search(r"--wait (\d+)", line)[1] for line in lines if "backup adhd/cache" in line][:2] == ["150", "1800"]  # type: ignore[index]


def test_streams_can_be_a_service() -> None:
    schedule = host_schedule(reference("adhd"), ScheduleChoices(follow_streams=True))
    units = systemd_units(schedule, RUN)
    assert "lifeboat-adhd:main:wal.timer" not in units
    service = units["lifeboat-adhd:main:wal.service"]
    assert f"ExecStart={PROGRAM} ship adhd/main/wal --follow --quiet\n" in service
    assert "Restart=always" in service
    assert "ship adhd/main/wal" not in cron_tables(schedule, RUN)["lifeboat-adhd"]


def test_systemd_means_the_same() -> None:
    schedule = host_schedule(reference("family"), ScheduleChoices(retention="45 4 * * *"))
    units = systemd_units(schedule, RUN)
    calls = {call.name: call for service in schedule.services for call in service.calls}
    assert set(units) == {f"lifeboat-{name}.{kind}" for name in calls for kind in ("service", "timer")}
    timer = units["lifeboat-family:cache:rdb.timer"]
    assert "OnCalendar=*-*-* 02:30:00 UTC\n" in timer
    assert "Persistent=true\n" in timer
    service = units["lifeboat-family:cache:rdb.service"]
    assert (
        "ExecStart=lifeboat --config /etc/lifeboat/config.yml backup family/cache/rdb --quiet --wait 3600\n" in service
    )
    assert "Nice=10\nIOSchedulingClass=best-effort\nIOSchedulingPriority=7\n" in service


def test_a_job_of_another_zone_asks_whether_it_is_due() -> None:
    data = sample()  # adhd's weekly base backup is on Sunday at 01:00 in Berlin
    schedule = host_schedule(load_description(data), ScheduleChoices())
    (line,) = [
        line for line in lines_of(cron_tables(schedule, RUN)["lifeboat-adhd"]) if line[0] != "@" and "base" in line
    ]
    assert line.startswith("0 0,23 * * *\t")
    assert "backup adhd/main/weekly-base --quiet --wait 3600 --due 2>&1" in line
    there = HostRun(host_name="one", year=2026, program="lifeboat", host_timezone="Europe/Berlin")
    (line,) = [
        line for line in lines_of(cron_tables(schedule, there)["lifeboat-adhd"]) if line[0] != "@" and "base" in line
    ]
    assert line.startswith("0 1 * * 0\t")
    assert "--due" not in line


def test_retention_elsewhere_is_asked_for_by_name() -> None:
    choices = ScheduleChoices(retention="45 4 * * *", retention_repositories=("cloud",))
    (call,) = [call for call in host_schedule(reference("family"), choices).services[0].calls if "prune" in call.words]
    assert call.words == ("prune", "family", "--yes", "--quiet", "--repository", "cloud")


def test_a_host_may_leave_retention_and_verification_to_another() -> None:
    schedule = host_schedule(reference("family"), ScheduleChoices(verify=False))
    assert {call.words[0] for call in schedule.services[0].calls} == {"backup", "ship"}


@pytest.mark.parametrize("name", ["family", "a.b", "a-b", "a_b", "a.b.c", "0"])
def test_cron_reads_the_file(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", table_name(name))


def test_every_service_has_a_file_of_its_own() -> None:
    names = ["a.b", "a-b", "a_b", "a.b.c", "a.b-c", "a-b.c", "a-b-c"]
    assert len({table_name(name) for name in names}) == len(names)


def test_a_percent_sign_does_not_end_the_command() -> None:
    run = HostRun(host_name="one", year=2026, configuration="/etc/100% sure/config.yml")
    table = cron_tables(one(["backup", "a/b/c"]), run)["lifeboat-a"]
    line, boot = (line for line in lines_of(table))
    assert "'/etc/100\\% sure/config.yml'" in line
    # What cron hands to the shell is the path again.
    assert "/etc/100% sure/config.yml" in shlex.split(line.split("\t")[2].replace("\\%", "%"))
    assert "%" not in boot.replace("\\%", "")
    assert '"/etc/100%% sure/config.yml"' in systemd_units(one(["backup", "a/b/c"]), run)["lifeboat-a:b.service"]


def test_no_mail_and_a_path() -> None:
    table = cron_tables(one(["backup", "a/b/c"]), RUN)["lifeboat-a"]
    assert 'MAILTO=""\n' in table
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" in table
    assert table.endswith("\n"), "cron does not read a last line without an end"


def test_the_idle_class_has_no_priority() -> None:
    run = HostRun(host_name="one", year=2026, io_class=3)
    assert "ionice -c 3 /opt/lifeboat/current/bin/lifeboat" in cron_tables(one(["backup", "a/b/c"]), run)["lifeboat-a"]
    service = systemd_units(one(["backup", "a/b/c"]), run)["lifeboat-a:b.service"]
    assert "IOSchedulingClass=idle\n" in service
    assert "IOSchedulingPriority" not in service


def test_hosts_start_at_times_of_their_own_and_each_at_the_same() -> None:
    (call,) = one(["backup", "a/b/c"]).services[0].calls
    pauses = [HostRun(host_name=f"host-{n}", year=2026, splay=300).pause(call) for n in range(200)]
    assert pauses == [HostRun(host_name=f"host-{n}", year=2026, splay=300).pause(call) for n in range(200)]
    assert 0 <= min(pauses) < 30
    assert 270 < max(pauses) <= 300
    assert len(set(pauses)) > 100


def test_a_pause_is_short_where_runs_follow_closely() -> None:
    (call,) = one(["backup", "a/b/c"], "* * * * *").services[0].calls
    assert max(HostRun(host_name=f"host-{n}", year=2026, splay=300).pause(call) for n in range(200)) == 15
    table = cron_tables(one(["backup", "a/b/c"]), HostRun(host_name="host-1", year=2026, splay=300))["lifeboat-a"]
    assert re.match(r"0 2 \* \* \*\troot\tsleep \d+; nice ", lines_of(table)[0])


def test_no_line_is_longer_than_cron_reads() -> None:
    data = sample()
    backup = data["lifeboat_services"][1]["sources"][0]["backups"][0]
    data["lifeboat_services"][1]["sources"][0]["backups"] = [
        {**backup, "name": f"number-{n}" + "x" * 40} for n in range(40)
    ]
    schedule = host_schedule(load_description(data), ScheduleChoices())
    lines = lines_of(cron_tables(schedule, HostRun(host_name="one", year=2026))["lifeboat-adhd"])
    assert max(len(line) for line in lines) < 999
    caught_up = [word for line in lines if line.startswith("@reboot") for word in re.findall(r"number-\d+x+", line)]
    assert len(caught_up) == 40


def test_a_host_that_makes_no_backups_proves_and_removes_those_of_others() -> None:
    data = sample()
    data["lifeboat_settings"]["makes_backups"] = False
    data["lifeboat_services"][0]["sources"][0]["verify"]["schedule"] = "0 6 * * *"
    choices = ScheduleChoices(retention="45 4 * * *", retention_repositories=("offsite",))
    schedule = host_schedule(load_description(data), choices)
    assert {call.words[0] for service in schedule.services for call in service.calls} == {"verify", "prune"}
    assert schedule.left_out == ()
