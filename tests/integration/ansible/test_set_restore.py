# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole set by ``playbooks/restore.yml``: real servers and files, beside, and in place with a member that fails."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import typing as t

import pytest
import yaml

from sandbox.postgresql import PostgreSQLServer, operating_system_user
from tests.integration.ansible.plays import Json, Played, run_playbook
from tests.integration.ansible.recovery_site import Application
from tests.integration.postgresql.restoring import Cluster
from tests.integration.redis.daemons import Daemon
from tests.support.command_line import CommandLine, describe

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Site:
    """A service of four sources with one set of it, and an application that uses all of them."""

    directory: pathlib.Path
    postgresql: PostgreSQLServer
    redis: Daemon
    application: Application
    lifeboat: CommandLine

    @property
    def settings(self) -> pathlib.Path:
        return self.directory / "settings" / "shop.conf"

    @property
    def logo(self) -> pathlib.Path:
        return self.directory / "assets" / "logo.svg"

    @property
    def visits(self) -> bytes | None:
        with self.redis.client() as client:
            return t.cast("bytes | None", client.get("visits"))

    def spoil(self) -> None:
        """What somebody did to the service after the set was made."""
        self.settings.write_text("colour = mud\n")
        with self.redis.client() as client:
            client.set("visits", "0")
        self.logo.write_text("<mud/>")
        self.postgresql.query("UPDATE colours SET name = 'mud'")

    @property
    def state(self) -> tuple[str, bytes | None, str]:
        """What the service holds: of settings, cache and assets one thing each."""
        return self.settings.read_text(), self.visits, self.logo.read_text()

    @property
    def colour(self) -> str:
        """What the database holds."""
        ((name,),) = self.postgresql.query("SELECT name FROM colours")
        return str(name)

    def restore(self, *arguments: str, inventory: str = "inventory.yml", **more: t.Any) -> Played:
        variables = {"lifeboat_restore": "shop/system", "lifeboat_restore_point": "newest", **more}
        words = ("-i", str(self.directory / inventory), "-e", json.dumps(variables), *arguments)
        return run_playbook(self, *words, playbook="playbooks/restore.yml")


def _description(
    folder: pathlib.Path,
    postgresql: PostgreSQLServer,
    redis: Daemon,
    application: Application,
) -> Json:
    stored = {"repositories": ["near"], "keep": {"within": "7d"}}
    connection = {
        "host": "127.0.0.1",
        "port": postgresql.port,
        "user": postgresql.superuser,
        "database": "postgres",
        "bin_directory": str(postgresql.bin_directory),
    }
    sources = [
        {
            "name": "main",
            "engine": "postgresql",
            "connection": connection,
            "service_control": Cluster(
                data=postgresql.data_directory, port=postgresql.port, bin_directory=str(postgresql.bin_directory)
            ).service_control,
            "backups": [{"kind": "logical", **stored}, {"kind": "base", **stored}],
        },
        {
            "name": "cache",
            "engine": "redis",
            "connection": {"port": redis.port},
            "service_control": redis.control,
            "backups": [{"kind": "rdb", **stored}],
            "verify": {"level": 4, "questions": [{"name": "visits", "redis": ["GET", "visits"], "equals": 7}]},
        },
        {
            "name": "assets",
            "engine": "files",
            "connection": {"paths": [str(folder / "assets")]},
            "backups": [{"kind": "static", **stored}],
        },
        {
            "name": "settings",
            "engine": "files",
            "connection": {"paths": [str(folder / "settings")]},
            "backups": [{"kind": "config", **stored}],
        },
        {
            "name": "system",
            "engine": "files",
            "backups": [{"kind": "system", "repositories": ["far"], "keep": {"within": "12w"}}],
        },
    ]
    return {
        "lifeboat_settings": {
            "state_directory": str(folder / "state"),
            "scratch_directory": str(folder / "scratch"),
        },
        "lifeboat_repositories": {
            name: {"type": "file", "path": str(folder / name), "create": True} for name in ("near", "far")
        },
        "lifeboat_services": [{"name": "shop", "sources": sources, "applications": [application.described]}],
    }


#: An ssh that reaches this machine, until the file ``lost`` says that it does no more. What is in ``cut`` decides when.
_SSH = """\
#!/bin/sh
case "$*" in *ControlPersist) exit 0 ;; esac
for command; do :; done
cut() {{ test -e {folder}/lost || {{ test -e {folder}/cut && . {folder}/cut && touch {folder}/lost; }}; }}
when=before
cut && exit 255
sh -c "$command"
status=$?
when=after
cut && exit 255
exit $status
"""


def _far_away(folder: pathlib.Path) -> Json:
    """What has a play reach this machine by the ssh above."""
    (folder / "ssh").write_text(_SSH.format(folder=folder))
    (folder / "ssh").chmod(0o755)
    return {
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_ssh_executable": str(folder / "ssh"),
        "ansible_ssh_transfer_method": "piped",
    }


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lifeboat-set-"))
    folder.chmod(0o755)
    for path, text in (("settings/shop.conf", "colour = blue\n"), ("assets/logo.svg", "<svg/>")):
        (folder / path).parent.mkdir()
        (folder / path).write_text(text)
    redis, application = Daemon(folder=folder / "redis"), Application(folder=folder / "application")
    application.write()
    redis.start()
    try:
        with PostgreSQLServer() as postgresql:
            description = _description(folder, postgresql, redis, application)
            lifeboat = describe(folder / "lifeboat.json", description)
            host = {**description, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
            (folder / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {"web1": host}}}))
            host.update(_far_away(folder))
            (folder / "far-away.yml").write_text(yaml.safe_dump({"all": {"hosts": {"web1": host}}}))
            made = Site(folder, postgresql, redis, application, lifeboat)
            postgresql.query("CREATE TABLE colours AS SELECT 'blue' AS name")
            with redis.client() as client:
                client.set("visits", "7")
            lifeboat("backup shop/system --quiet").succeeded()
            made.spoil()
            yield made
    finally:
        redis.stop()
        application.end()
        shutil.rmtree(folder)


def words(played: Played) -> str:
    """The output without its line breaks, quotes and JSON's escapes."""
    return " ".join(played.output.replace('\\"', '"').split())


def table(played: Played) -> dict[str, str]:
    """The state of each member by its name, from the table at the end."""
    rows = [re.split(r"\s{2,}", line.strip().strip('",')) for line in played.output.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 5 and re.fullmatch(r"[a-z]+/[a-z]+", row[0])}


SPOILT, WHOLE = ("colour = mud\n", b"0", "<mud/>"), ("colour = blue\n", b"7", "<svg/>")


@pytest.mark.newest
def test_all_of_it_comes_back_beside_production(site: Site) -> None:
    copies = site.directory / "copies"
    copies.mkdir()
    user = operating_system_user()
    if user is not None:
        shutil.chown(copies, user)
    played = site.restore(lifeboat_restore_directory=str(copies))
    try:
        assert played.status == 0, played.output
        assert table(played) == {
            "settings/config": "restored",
            "main/logical": "not needed",
            "main/base": "restored",
            "cache/rdb": "restored",
            "assets/static": "restored",
        }
        # Each has a folder of its own, called after the set and the member.
        places = {"-".join(path.name.split("-")[2:]): path for path in copies.iterdir()}
        assert set(places) == {"settings-config", "main-base", "cache-rdb", "assets-static"}
        assert (places["settings-config"] / str(site.settings).lstrip("/")).read_text() == "colour = blue\n"
        assert (places["assets-static"] / str(site.logo).lstrip("/")).read_text() == "<svg/>"
        assert (places["main-base"] / "PG_VERSION").is_file()
        assert site.state == SPOILT
        # Nothing was replaced, so nothing stood still.
        assert site.application.diary == []
        assert "Nothing was moved aside" in played.output
    finally:
        for pid_file in copies.rglob("*.pid"):
            subprocess.run(["kill", pid_file.read_text().split()[0]], check=False)


@pytest.mark.long
def test_in_place_it_stops_at_a_failure_goes_on_when_mended_and_can_be_taken_back(site: Site) -> None:
    subprocess.run(["sh", site.application.folder / "start"], check=True)
    in_place = {
        "lifeboat_restore_in_place": True,
        "lifeboat_restore_members": "settings,cache,assets",
        "lifeboat_health_wait": 20,
    }
    looked = site.restore("--check", **in_place)
    assert looked.status == 0, looked.output
    assert "3 of 5 members would be restored" in looked.output
    name = re.search(r"lifeboat_restore_confirm=(shop/system/system/([0-9TZ]+-[0-9a-f]+))", looked.output)
    assert name, looked.output
    refused = site.restore(**in_place)
    assert refused.status != 0
    assert f"repeat the name of the set -- -e lifeboat_restore_confirm={name[1]}" in words(refused)
    assert site.state == SPOILT
    assert site.application.diary == ["started"]

    # One bit of the cache's only copy is another one, which is seen when it is read.
    payload = next(path for path in (site.directory / "far/shop/cache/rdb").rglob("*.rdb*"))
    whole = payload.read_bytes()
    payload.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    confirmed = {**in_place, "lifeboat_restore_confirm": name[1], "lifeboat_restore_id": name[2]}
    failed = site.restore(**confirmed)
    payload.write_bytes(whole)
    assert failed.status != 0
    states = {"main/logical": "left out", "main/base": "left out"}
    assert table(failed) == {
        "settings/config": "restored",
        "cache/rdb": "FAILED",
        "assets/static": "not begun",
        **states,
    }
    assert "not started on a service that is half restored: api." in words(failed)
    assert f"-e lifeboat_restore_id={name[2]} -e lifeboat_restore_resume=true" in words(failed)
    assert site.state == (WHOLE[0], *SPOILT[1:])
    assert site.application.diary == ["started", "stopped"]

    mended = site.restore(**confirmed, lifeboat_restore_resume=True)
    assert mended.status == 0, mended.output
    assert table(mended) == {
        "settings/config": "restored before",
        "cache/rdb": "restored",
        "assets/static": "restored",
        **states,
    }
    assert site.state == WHOLE
    assert site.application.diary[-1] == "started"
    assert site.application.is_well()

    # The way back of each, as it was printed: the last one first.
    printed = re.findall(r"lifeboat (restore --roll-back .*?)\",?$", mended.output + failed.output, re.MULTILINE)
    commands = [" ".join(shlex.split(command.replace('\\"', '"'))[:3]) for command in printed]
    assert len(commands) == 3
    for command, line in zip(commands, printed, strict=True):
        confirm = shlex.split(line.replace('\\"', '"'))[-1]
        site.lifeboat(f"{command} --confirm {shlex.quote(confirm)}").succeeded()
    assert site.state == SPOILT


@pytest.mark.long
def test_a_host_that_is_lost_in_the_middle_is_gone_on_with_when_it_is_back(site: Site) -> None:
    if not site.application.is_well():
        subprocess.run(["sh", site.application.folder / "start"], check=True)
    site.spoil()
    (name,) = {one["id"] for one in site.lifeboat("list --json").document["backups"] if one["kind"] == "system"}
    data = site.postgresql.data_directory
    wish = {
        "inventory": "far-away.yml",
        "lifeboat_restore_in_place": True,
        "lifeboat_restore_members": "settings,main/base,cache",
        "lifeboat_restore_options": {"main/base": {"data_directory": str(data)}},
        "lifeboat_restore_id": name,
        "lifeboat_restore_confirm": f"shop/system/system/{name}",
        "lifeboat_health_wait": 20,
    }
    others = {"main/logical": "left out", "assets/static": "left out"}
    lost, cut = site.directory / "lost", site.directory / "cut"

    # Gone after the first member: the second one, a whole cluster, is not begun.
    in_turn = 'case "$command" in *AnsiballZ_pg_base_restore*) true ;; *) false ;; esac'
    cut.write_text(f"[ $when = before ] && {in_turn} && grep -q blue {site.settings}\n")
    first = site.restore(**wish)
    assert first.status != 0
    assert lost.exists(), first.output
    assert table(first) == {
        "settings/config": "restored",
        "main/base": "FAILED",
        "cache/rdb": "not begun",
        **others,
    }, first.output
    assert "Failed to connect to the host via ssh" in words(first)
    assert "not started on a service that is half restored: api." in words(first)
    assert (site.state, site.colour) == ((WHOLE[0], *SPOILT[1:]), "mud")

    # Gone again, after the cluster came back and before anybody heard of it.
    lost.unlink()
    cut.write_text(f"[ $when = after ] && {in_turn} && ls {data.parent} | grep -q '^{data.name}[.-]'\n")
    second = site.restore(**wish, lifeboat_restore_resume=True)
    assert second.status != 0
    assert lost.exists(), second.output
    assert table(second)["main/base"] == "FAILED"
    assert not site.application.is_well()

    lost.unlink()
    cut.unlink()
    third = site.restore(**wish, lifeboat_restore_resume=True)
    assert third.status == 0, third.output
    assert table(third) == {
        "settings/config": "restored before",
        "main/base": "restored before",
        "cache/rdb": "restored",
        **others,
    }, third.output
    assert (site.state, site.colour) == ((WHOLE[0], WHOLE[1], SPOILT[2]), "blue")
    assert site.application.is_well()
