# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/dns.yml`` and the step of a failover that moves a name, with a real BIND and moto's Route 53."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import typing as t

import pytest
import yaml

from sandbox.bind import Key, NameServer, Zone
from sandbox.route53 import Route53Server
from tests.integration.ansible.plays import ROOT, Json, Played, run_playbook
from tests.integration.dns.conftest import NEW, OLD, ZONE, Site, write_key

pytestmark = pytest.mark.slow


@dataclasses.dataclass
class Service:
    """A description with names in two regions."""

    directory: pathlib.Path
    dns: list[Json]
    objective: str = "10m"

    def record(self, **more: t.Any) -> Json:
        return {
            "name": f"api.{ZONE}",
            "type": "A",
            "ttl": 3,
            "zone": ZONE,
            "values": {"west": [OLD], "east": [NEW]},
            **more,
        }

    def play(self, region: str, *words: str, playbook: str | pathlib.Path = "playbooks/dns.yml") -> Played:
        service = {
            "name": "shop",
            "objectives": {"rto": self.objective},
            "sources": [],
            "regions": [{"name": "west", "role": "primary"}, {"name": "east", "role": "standby"}],
            "dns": self.dns,
        }
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "lifeboat_services": [service],
            "lifeboat_repositories": {},
        }
        # Two hosts with one description: names are moved once.
        hosts = {"one": variables, "two": variables, "other": {"ansible_connection": "local"}}
        inventory = self.directory / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        names = ["-e", "lifeboat_dns=shop", "-e", f"lifeboat_region={region}"]
        return run_playbook(self, "-i", str(inventory), *names, *words, playbook=playbook)


@pytest.fixture
def service(tmp_path: pathlib.Path) -> Service:
    return Service(directory=tmp_path, dns=[])


def test_by_updates_with_a_slow_secondary(site: Site, service: Service) -> None:
    with NameServer(zones=[Zone(ZONE, primary=site.server, refresh=2)]) as secondary:
        servers = {"nameservers": [site.server.uri, secondary.uri], "server": site.server.uri}
        service.dns = [service.record(provider="rfc2136", key_file=str(site.key_file), **servers)]
        moved = service.play("east", "-e", "lifeboat_confirm=east", "-vvv")
        assert moved.status == 0, moved.output
        assert f"{secondary.uri} (authoritative): {OLD}" in moved.output
        assert f"before, it said {OLD} (TTL 3)" in moved.output
        assert site.key.secret not in moved.output
        assert secondary.says(f"api.{ZONE}") == [NEW]


def test_in_route_53_where_the_proof_fails(amazon: Route53Server, site: Site, service: Service) -> None:
    values = {"TTL": 3600, "Type": "A"}
    zone = amazon.make_zone(ZONE, [{"Name": f"api.{ZONE}", **values, "ResourceRecords": [{"Value": OLD}]}])
    keys = service.directory / "route53.env"
    keys.write_text("AWS_ACCESS_KEY_ID=AKIATEST\nAWS_SECRET_ACCESS_KEY=the-secret-of-route53\n")
    place = {"zone_id": zone, "endpoint_url": amazon.endpoint_url, "credentials": {"file": str(keys)}}
    # Route 53 that is played has no name servers: BIND says what they would say.
    told = {"provider": "route53", "nameservers": [site.server.uri], "wait": "1s"}
    service.objective = "30m"
    service.dns = [service.record(**place, **told)]
    looked = service.play("west")
    assert looked.status != 0
    assert "add -e lifeboat_confirm=west" in looked.output
    assert "is remembered for 3600 s today, and the description says 3 s" in looked.output
    assert "longer than the service may be away" in looked.output
    assert amazon.sets(zone)[-1]["TTL"] == 3600
    # It is changed, and the servers don't say so: that is no success, and what it was stands there.
    unproven = service.play("east", "-e", "lifeboat_confirm=east", "-vvv")
    assert unproven.status != 0
    assert f"says {OLD}" in unproven.output
    assert f"Before, it said {OLD} (TTL 3600)" in unproven.output
    assert "the-secret-of-route53" not in unproven.output
    assert amazon.sets(zone)[-1]["ResourceRecords"] == [{"Value": NEW}]
    amazon.remove_zone(zone)  # other tests find theirs by its name


def test_by_a_command_and_by_hand(site: Site, service: Service, tmp_path: pathlib.Path) -> None:
    script, ran = tmp_path / "move", tmp_path / "ran"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(ran)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / '.collections')!r}]\n"
        "from tests.integration.dns.conftest import DynamicUpdates, read_key, api\n"
        f"place = DynamicUpdates({site.server.uri!r}, key=read_key({str(site.key_file)!r}))\n"
        "place.change(api(sys.argv[2]), place.look(api()))\n"
    )
    script.chmod(0o755)
    servers = {"nameservers": [site.server.uri], "wait": "1s"}
    command = {"provider": "command", "command": f"{script} {{name}} {{value}}", "try_command": "true"}
    manual = {"provider": "manual", "name": f"two.{ZONE}", "values": {"east": ["192.0.2.1", "192.0.2.2"]}}
    service.dns = [service.record(**command, **servers), service.record(**{**manual, **servers})]
    moved = service.play("east", "-e", "lifeboat_confirm=east")
    assert moved.status == 0, moved.output
    assert (ran.read_text(), site.server.says(f"api.{ZONE}")) == (f"api.{ZONE} {NEW}\n", [NEW])
    service.dns[1]["values"] = {"east": ["192.0.2.3"]}
    again = service.play("east", "-e", "lifeboat_confirm=east")
    assert again.status != 0
    assert ran.read_text().count("\n") == 1
    assert f"Change it now, by hand: two.{ZONE} A 192.0.2.3" in again.output
    assert "says 192.0.2.1, 192.0.2.2" in again.output


def test_what_stops_a_failover_is_told_beforehand(site: Site, service: Service, tmp_path: pathlib.Path) -> None:
    other = write_key(Key("lifeboat"), tmp_path / "other.key")
    told = {"provider": "rfc2136", "server": site.server.uri, "nameservers": [site.server.uri]}
    service.dns = [
        service.record(**told, key_file=str(other)),
        service.record(**told, key_file=str(site.key_file), name=f"gone.{ZONE}"),
        service.record(
            name=f"web.{ZONE}", provider="command", command="true", try_command="false", nameservers=[site.server.uri]
        ),
    ]
    looked = service.play("east", "--check")
    assert looked.status != 0
    for words in ("does not accept the key lifeboat", f"gone.{ZONE} A does not exist", "(status 1)"):
        assert words in looked.output
    assert site.server.serial(ZONE) == 1


def test_a_drill_touches_nothing_but_its_own_name(site: Site, service: Service, tmp_path: pathlib.Path) -> None:
    told = {"provider": "rfc2136", "server": site.server.uri, "nameservers": [site.server.uri]}
    record = service.record(**told, key_file=str(site.key_file))
    task = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/failover/dns.yml"), "name": "Step"}
    plays = []
    own = {"drill": {"name": f"web.{ZONE}", "zone": ZONE}, "type": "CNAME", "values": {"east": ["drill.test"]}}
    for number, drill in enumerate(({}, own)):
        described = {**record, **drill}
        step = {"name": "dns", "kind": "dns", "options": {"record": described, "values": described["values"]["east"]}}
        copy = {"content": "{{ lifeboat_result | to_json }}", "dest": str(tmp_path / f"result{number}")}
        tasks = [task, {"name": "Keep", "ansible.builtin.copy": copy}]
        variables = {"lifeboat_step": step, "lifeboat_drill": True}
        plays.append({"hosts": "one", "gather_facts": False, "vars": variables, "tasks": tasks})
    (tmp_path / "drill.yml").write_text(yaml.safe_dump(plays))
    played = service.play("east", playbook=tmp_path / "drill.yml")
    assert played.status == 0, played.output
    results = [json.loads((tmp_path / f"result{number}").read_text()) for number in range(2)]
    assert [(one["only_tried"], one["changed"], one["name"]) for one in results] == [
        (True, False, f"api.{ZONE}"),
        (False, True, f"web.{ZONE}"),
    ]
    assert results[1]["before"] == {"values": [f"api.{ZONE}."], "ttl": 60}
    assert site.server.says(f"web.{ZONE}", "CNAME") == ["drill.test."]
    assert site.server.says(f"api.{ZONE}") == [OLD]
