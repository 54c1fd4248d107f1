# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/degraded_mode.yml`` with a real PostgreSQL, Redis and application: entered, gone on with, left."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from sandbox.postgresql import PostgreSQLServer
from sandbox.redis import RedisServer
from tests.integration.ansible.plays import PASSWORD, Json, Played, run_playbook
from tests.support.told_servers import WebServer

_PLAYBOOK = "playbooks/degraded_mode.yml"
pytestmark = pytest.mark.slow


class Site:
    """Two hosts; the second one has the flags."""

    def __init__(self, folder: pathlib.Path, postgresql: PostgreSQLServer, redis: RedisServer, web: WebServer) -> None:
        self.directory, self.postgresql, self.redis, self.web = folder, postgresql, redis, web
        self.flags = folder / "flags.env"
        self.flags.write_text("ANALYTICS=on\n")
        for name in ("local", "second"):
            (folder / name).mkdir()
        (folder / "password").write_text(PASSWORD + "\n")
        (folder / "password").chmod(0o600)

    def inventory(self) -> pathlib.Path:
        connection = {
            "host": "127.0.0.1",
            "port": self.postgresql.port,
            "user": "postgres",
            "database": "postgres",
            "password_file": str(self.directory / "password"),
        }
        keep = {"repositories": ["local", "second"], "keep": {"within": "7d"}}
        service = {
            "name": "adhd",
            "sources": [
                {
                    "name": "main",
                    "engine": "postgresql",
                    "connection": connection,
                    "backups": [{"kind": "logical", **keep}],
                },
                {
                    "name": "cache",
                    "engine": "redis",
                    "connection": {"port": self.redis.port},
                    "backups": [{"kind": "rdb", **keep}],
                },
            ],
            "notifications": {
                "webhooks": {
                    "base_url": f"http://127.0.0.1:{self.web.port}",
                    "endpoints": {"degraded_mode": "/api/emergency/degradation-mode"},
                }
            },
            "degraded_mode": {
                "essential": ["crisis support"],
                "disabled": ["analytics"],
                "message": "We work with reduced functions.",
                "measures": [
                    {"name": "known", "webhook": {"event": "degraded_mode"}},
                    {
                        "name": "relief",
                        "postgresql": {
                            "source": "main",
                            "database": "postgres",
                            "settings": {"statement_timeout": "5s"},
                        },
                    },
                    {"name": "flag", "redis": {"source": "cache", "key": "features:analytics", "value": "off"}},
                    {
                        "name": "line",
                        "hosts": ["two"],
                        "env_file": {"file": str(self.flags), "key": "ANALYTICS", "value": "off"},
                    },
                    {"name": "jobs", "pause_jobs": ["cache"]},
                ],
                "exit": [{"name": "well", "health": {"url": f"http://127.0.0.1:{self.web.port}/health"}}],
            },
        }
        variables = {
            "lifeboat_services": [service],
            "lifeboat_repositories": {
                name: {"type": "file", "path": str(self.directory / name)} for name in ("local", "second")
            },
            "lifeboat_settings": {"state_directory": str(self.directory / "state")},
        }
        document = {
            "all": {
                "hosts": {"one": variables, "two": {}},
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "lifeboat_administrator": connection,
                },
            }
        }
        path = self.directory / "inventory.yml"
        path.write_text(yaml.safe_dump(document))
        return path

    def play(self, what: str, *more: str, **variables: t.Any) -> Played:
        named = {"lifeboat_service": "adhd", "lifeboat_degraded": what, **variables}
        return run_playbook(
            self, "--inventory", str(self.inventory()), "-e", json.dumps(named), *more, playbook=_PLAYBOOK
        )

    def world(self) -> Json:
        settings = self.postgresql.query("SELECT setconfig FROM pg_db_role_setting")
        return {
            "settings": settings,
            "flag": self.redis.client().get("features:analytics"),
            "line": self.flags.read_text(),
        }

    def events(self, repository: str = "local") -> list[Json]:
        folder = self.directory / repository / "adhd" / ".degraded"
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.fixture
def site(tmp_path: pathlib.Path) -> t.Iterator[Site]:
    with contextlib.ExitStack() as stack:
        postgresql = stack.enter_context(PostgreSQLServer(password=PASSWORD))
        redis = stack.enter_context(RedisServer())
        web = WebServer()
        stack.callback(web.stop)
        yield Site(tmp_path, postgresql, redis, web)


def flat(played: Played) -> str:
    return " ".join(played.output.split())


@pytest.mark.long
def test_it_is_entered_gone_on_with_refused_to_be_left_and_left(site: Site) -> None:
    before = site.world()
    asked = site.play("enter", "--check")
    assert asked.status == 0, asked.output
    assert "statement_timeout 5s for database postgres" in flat(asked)
    assert site.world() == before

    # One measure fails, and stops no other.
    site.flags.rename(site.flags.with_suffix(".away"))
    failed = site.play("enter", lifeboat_reason="The region is slow.", lifeboat_operator="ada", lifeboat_until="2h")
    assert failed.status != 0
    assert "this is not in force -- line on two:" in flat(failed)
    assert site.postgresql.query("SHOW statement_timeout") == [("5s",)]
    site.flags.with_suffix(".away").rename(site.flags)

    # Somebody else goes on, and nothing is done twice.
    entered = site.play("enter", lifeboat_operator="grace")
    assert entered.status == 0, entered.output
    assert "We work with reduced functions." in flat(entered)
    degraded = site.world()
    assert degraded == {"settings": [(["statement_timeout=5s"],)], "flag": b"off", "line": "ANALYTICS=off\n"}
    assert "changed=2" in flat(entered)  # the measure that was missing, and the record of it
    assert (site.world(), site.events()) == (degraded, site.events("second"))
    assert [one["event"] for one in site.events()] == ["entering", "entered", "entered"]
    assert site.events()[0]["data"]["reason"] == "The region is slow."
    assert site.events()[-1]["data"]["before"]["line@two"] == {"line": "ANALYTICS=on", "ends": True}

    # It is seen, and not left while something is not well.
    site.web.status = 503
    seen = site.play("status")
    assert seen.status == 0, seen.output
    assert "The region is slow." in flat(seen)
    assert "flag on one: in force" in flat(seen)
    assert "NOT met well from one:" in flat(seen)
    assert site.world() == degraded
    refused = site.play("leave")
    assert refused.status != 0
    assert "adhd stays in degraded mode -- well from one:" in flat(refused)
    assert site.world() == degraded
    site.web.status = 200
    left = site.play("leave", lifeboat_operator="grace")
    assert left.status == 0, left.output
    assert site.world() == before
    assert [one["event"] for one in site.events("second")][-2:] == ["leaving", "left"]
    told = [call.document["active"] for call in site.web.calls if call.method == "POST"]
    assert told == [True, False]
    assert json.loads((site.directory / "state/degraded/adhd.json").read_text()) == {"mode": {}, "measures": {}}
    assert PASSWORD not in "".join(path.read_text() for path in (site.directory / "local").rglob("*.json"))
