# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small description that is right, and a way to make it wrong in one place."""

from __future__ import annotations

import copy
import typing as t

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

_DESCRIPTION: dict[str, t.Any] = {
    "lifeboat_settings": {"timezone": "UTC", "scratch_memory_mib": 512},
    "lifeboat_repositories": {
        "local": {"type": "file", "path": "/var/backups/lifeboat"},
        "offsite": {"type": "s3", "bucket": "acme-backups", "region": "eu-west-1"},
        "history": {"type": "git", "url": "git@git.example.org:acme/configuration.git"},
    },
    "lifeboat_services": [
        {
            "name": "family",
            "objectives": {"rpo": "1d", "rto": "1h"},
            "classes": [{"name": "critical", "covers": ["users"]}],
            "regions": [{"name": "north", "role": "primary"}],
            "sources": [
                {
                    "name": "main",
                    "engine": "mongodb",
                    "classes": ["critical"],
                    "connection": {"uri_file": "/etc/lifeboat/family.uri"},
                    "standbys": [{"name": "second", "connection": {}, "region": "north"}],
                    "backups": [
                        {
                            "kind": "full",
                            "schedule": "0 2 * * *",
                            "repositories": ["local", "offsite"],
                            "keep": {"within": "30d"},
                        },
                        {
                            "kind": "oplog",
                            "schedule": "*/15 * * * *",
                            "repositories": ["local"],
                            "keep": {"within": "24h"},
                        },
                    ],
                    "verify": {
                        "level": 4,
                        "questions": [{"name": "users", "count": {"collection": "users"}, "min": 1}],
                    },
                },
                {
                    "name": "cache",
                    "engine": "redis",
                    "connection": {"port": 6379},
                    "backups": [
                        {"kind": "rdb", "schedule": "0 3 * * *", "repositories": ["local"], "keep": {"count": 7}},
                    ],
                },
                {
                    "name": "settings",
                    "engine": "files",
                    "connection": {"paths": ["/etc/nginx"]},
                    "backups": [
                        {"kind": "config", "triggers": ["change"], "repositories": ["history"], "keep": {"count": 9}},
                    ],
                },
            ],
            "applications": [{"name": "api", "region": "north", "unit": "sbd-api", "health": {"path": "/health"}}],
            "dns": [{"name": "api.example.org", "type": "A", "ttl": 60, "values": {"north": ["192.0.2.1"]}}],
            "alerts": [{"name": "silent", "severity": "critical", "no_success_within": "24h", "jobs": ["main/full"]}],
            "exercises": [
                {
                    "name": "drill",
                    "kind": "drill",
                    "schedule": "0 9 1 * *",
                    "sources": ["main"],
                    "checks": [
                        {"name": "answers", "standby_reachable": "second"},
                        {"name": "deploys", "deployment_dry_run": "api"},
                    ],
                }
            ],
            "notifications": {"mail": {"to": ["operators@example.org"]}},
        },
        {
            "name": "adhd",
            "sources": [
                {
                    "name": "main",
                    "engine": "postgresql",
                    "connection": {"host": "/run/postgresql"},
                    "backups": [
                        {"kind": "logical", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"daily": 7}},
                        {"kind": "logical", "schedule": "0 9 * * 0", "repositories": ["local"], "keep": {"weekly": 9}},
                        {
                            "kind": "base",
                            "name": "weekly-base",
                            "schedule": "0 1 * * 0",
                            "repositories": [{"name": "local", "keep": {"within": "14d"}}, "offsite"],
                            "keep": {"within": "8w"},
                            "encryption": {"recipients": [RECIPIENT]},
                            "compression": {"level": 9},
                            "timezone": "Europe/Berlin",
                        },
                    ],
                }
            ],
        },
    ],
}

MISSING: t.Final = object()


def description() -> dict[str, t.Any]:
    """A description without a problem; the caller's own to change."""
    return copy.deepcopy(_DESCRIPTION)


def changed(path: str, value: t.Any) -> dict[str, t.Any]:
    """The description with *value* at *path* (``lifeboat_services.0.sources.1.engine``); MISSING takes the key out."""
    changed_description = description()
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    here: t.Any = changed_description
    for step in parents:
        here = here[step]
    if value is MISSING:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value
    return changed_description
