# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/site.yml`` with an inventory that can't be right: no host is touched, also not the one that is well. And
with those of the reference services, in check mode, as far as that can be said without their hosts.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
import typing as t

import pytest
import yaml

from tests.integration.ansible.plays import Json, run_playbook
from tests.unit.description.samples import RECIPIENT


@dataclasses.dataclass(frozen=True)
class Place:
    directory: pathlib.Path


def refused(tmp_path: pathlib.Path, slow: Json, **settings: t.Any) -> str:
    """What the play says of two hosts, of which one is well; *slow* is what is said of the other's service."""

    def host(**service: t.Any) -> Json:
        backup = {"kind": "rdb", "schedule": "*/15 * * * *", "repositories": ["local"], "keep": {"within": "7d"}}
        source: Json = {"name": "cache", "engine": "redis", "connection": {"port": 6379}, "backups": [backup]}
        source["verify"] = {"level": 3, "schedule": "0 6 * * *"}
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "agent_directory": str(tmp_path / "opt"),
            "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "backups")}},
            "lifeboat_services": [{"name": "shop", "sources": [source], **service}],
        }

    hosts = {"well": host(), "slow": {**host(**slow), "lifeboat_settings": settings}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    played = run_playbook(Place(tmp_path), "-i", str(tmp_path / "inventory.yml"), playbook="playbooks/site.yml")
    assert played.status != 0
    assert "(2/8)" not in played.output
    assert not (tmp_path / "opt").exists()
    return " ".join(played.output.split())


def test_objectives_that_no_schedule_meets_are_refused_before_anything_is_touched(tmp_path: pathlib.Path) -> None:
    said = refused(tmp_path, {"objectives": {"rpo": "5m"}})
    assert "an rpo of 5 minutes can't be met: the most frequent backup (rdb) runs every 15 minutes" in said
    assert "Run shop/cache/rdb at least every 5 minutes" in said


def test_backups_that_nobody_can_open_to_prove_them_are_refused(tmp_path: pathlib.Path) -> None:
    said = refused(tmp_path, {}, encryption={"recipients": [RECIPIENT]})
    assert "it has no private key, so shop/cache could not be proved there" in said
    assert "verify_on" in said


def test_a_key_that_a_host_lacks_is_refused_before_anything_is_installed(tmp_path: pathlib.Path) -> None:
    """A backup would have found it, at night. What the play writes itself is not looked for."""
    recipients, check = tmp_path / "recipients.txt", tmp_path / "check.url"
    check.write_text("https://check.example/not-for-anybody")
    check.chmod(0o644)
    source: Json = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": 6379, "password_file": str(tmp_path / "etc" / "redis.pass")},
        "backups": [{"kind": "rdb", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}],
    }
    channel = {"name": "check", "ping": {"url_file": str(check)}}
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "agent_directory": str(tmp_path / "opt"),
        "agent_configuration_directory": str(tmp_path / "etc"),
        "agent_secrets": [{"path": "redis.pass", "content": "not-for-anybody"}],
        "lifeboat_repositories": {"local": {"type": "file", "path": str(tmp_path / "backups")}},
        "lifeboat_services": [{"name": "shop", "sources": [source], "notifications": {"channels": [channel]}}],
        "lifeboat_settings": {"encryption": {"recipients_file": str(recipients)}},
    }
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {"shop": host}}}))

    played = run_playbook(Place(tmp_path), "-i", str(tmp_path / "inventory.yml"), playbook="playbooks/site.yml")
    assert played.status != 0
    said = " ".join(played.output.split())
    assert f"{recipients} (recipients_file of shop/cache/rdb): it is not there. Write the public keys into it" in said
    assert (
        f"{check} (url_file of shop, notifications): every account of this host can read it (mode 0644). Run:" in said
    )
    assert "Nothing was touched on shop." in said
    assert "redis.pass (" not in said
    assert not (tmp_path / "opt").exists()


@pytest.mark.long
@pytest.mark.slow
def test_the_reference_inventories_are_taken_as_they_are(tmp_path: pathlib.Path) -> None:
    """Every host is this machine, and bare: nothing of theirs is there, neither on the hosts nor on the controller."""
    played = run_playbook(
        Place(tmp_path),
        *("-i", "inventories/family", "-i", "inventories/adhd", "--check"),
        *("-e", "ansible_connection=local", "-e", f"ansible_python_interpreter={sys.executable}"),
        *("-e", f"agent_directory={tmp_path}/opt", "-e", f"agent_configuration_directory={tmp_path}/etc"),
        playbook="playbooks/site.yml",
    )
    assert played.status == 0, played.output
    for host in ("family-1", "family-verify", "adhd-primary", "adhd-verify"):
        assert re.search(rf"^{host} .* failed=0 ", played.output, re.MULTILINE), played.output
    said = " ".join(played.output.split())
    assert "/etc/lifeboat/recipients.txt (recipients_file of family/" in said, "what the hosts must have is not said"
    for line in ("family/system, verification: daily at 06:00", "adhd/main, verification: daily at 04:00"):
        assert line in said
