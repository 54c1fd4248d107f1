# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules share, each with its documentation in ``doc_fragments``. Private to the collection."""

from __future__ import annotations

import typing as t

Spec = dict[str, t.Any]


def secret_options(name: str) -> Spec:
    """The four ways to give a secret: a file, an environment name, a command, and the value itself."""
    return {
        name: {"type": "str", "no_log": True},
        f"{name}_file": {"type": "path", "no_log": False},
        f"{name}_env": {"type": "str", "no_log": False},
        f"{name}_command": {"type": "str", "no_log": False},
    }


def credentials_option() -> Spec:
    """Where keys for Amazon's services are."""
    return {
        "credentials": {
            "type": "dict",
            "options": {
                "file": {"type": "path"},
                "command": {"type": "str"},
                "profile": {"type": "str"},
                "env": {"type": "str"},
            },
            "mutually_exclusive": [["file", "command", "profile", "env"]],
        }
    }


def dns_options() -> Spec:
    """A record and what it is to say: documented in the fragment ``_dns``."""
    return {
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "required": True, "choices": ["A", "AAAA", "CNAME"]},
        "zone": {"type": "str", "required": True},
        "values": {"type": "list", "elements": "str", "required": True},
    }


def repositories_option(*, required: bool = True) -> Spec:
    """Where backups are kept: documented in the fragment ``_repositories``."""
    return {
        "repositories": {
            "type": "list",
            "elements": "dict",
            "required": required,
            "options": {
                "name": {"type": "str", "required": True},
                "type": {"type": "str", "required": True, "choices": ["file", "s3"]},
                "path": {"type": "path"},
                "create": {"type": "bool"},
                "folder_mode": {"type": "str"},
                "file_mode": {"type": "str"},
                "bucket": {"type": "str"},
                "prefix": {"type": "str"},
                "region": {"type": "str"},
                "endpoint_url": {"type": "str"},
                "storage_class": {"type": "str"},
                "path_style": {"type": "bool"},
                "ca_bundle": {"type": "path"},
                "sse": {"type": "str", "choices": ["AES256", "aws:kms"]},
                "sse_kms_key_id": {"type": "str", "no_log": False},
                "object_lock": {
                    "type": "dict",
                    "options": {
                        "mode": {"type": "str", "required": True, "choices": ["governance", "compliance"]},
                        "retain": {"type": "str", "required": True},
                    },
                },
                **credentials_option(),
                "versions": {"type": "str", "choices": ["keep", "delete"]},
                "batch_size": {"type": "int"},
                "part_size_mib": {"type": "int"},
                "checksums": {"type": "str", "choices": ["when_supported", "when_required"]},
            },
            "required_if": [["type", "file", ["path"]], ["type", "s3", ["bucket"]]],
        }
    }


def backup_options() -> Spec:
    """What every module that makes a backup takes: documented in the fragment ``_backup``."""
    return {
        "service": {"type": "str", "required": True},
        "source": {"type": "str", "required": True},
        **repositories_option(),
        "compression": {
            "type": "dict",
            "options": {
                "method": {"type": "str", "choices": ["zstd", "none"], "default": "zstd"},
                "level": {"type": "int", "default": 1},
                "threads": {"type": "int", "default": 0},
            },
        },
        "encryption": {
            "type": "dict",
            "options": {
                "recipients": {"type": "list", "elements": "str"},
                "recipients_file": {"type": "path"},
            },
        },
        "labels": {"type": "dict", "default": {}},
        "questions": {"type": "list", "elements": "dict", "default": []},
        "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
        "lock_timeout": {"type": "int", "default": 0},
        "fail_on_partial": {"type": "bool", "default": True},
    }


def decryption_option() -> Spec:
    """Where the private key of encrypted backups is: documented in the fragment ``_decryption``."""
    return {
        "decryption": {
            "type": "dict",
            "options": {
                "identity_file": {"type": "path"},
                "identity_env": {"type": "str"},
                "identity_command": {"type": "str"},
            },
            "mutually_exclusive": [["identity_file", "identity_env", "identity_command"]],
        }
    }


def recovery_options() -> Spec:
    """What everything takes that reads backups back: documented in the fragments ``_recovery`` and ``_decryption``."""
    return {
        **repositories_option(),
        **decryption_option(),
        "state_directory": {"type": "path", "default": "/var/lib/lifeboat"},
        "lock_timeout": {"type": "int", "default": 0},
    }


def choice_options() -> Spec:
    """Which backup is restored: documented in the fragment ``_choice``."""
    return {
        "service": {"type": "str", "required": True},
        "source": {"type": "str", "required": True},
        "id": {"type": "str"},
        "before": {"type": "str"},
        "point": {"type": "str", "choices": ["newest_verified", "newest"]},
        "allow_failed": {"type": "bool", "default": False},
    }


def restore_options() -> Spec:
    """What every module that restores takes: documented in the fragment ``_restore``."""
    return {**recovery_options(), **choice_options(), "confirm": {"type": "str"}}


def recover_to_option() -> Spec:
    """A point in time: documented in the fragment ``_recover_to``."""
    points = ("time", "lsn", "xid", "name", "optime", "before_operation")
    ends = ("latest", "immediate")
    return {
        "recover_to": {
            "type": "dict",
            "options": {
                **{point: {"type": "str"} for point in points},
                **{end: {"type": "bool"} for end in ends},
                "inclusive": {"type": "bool"},
                "timeline": {"type": "str"},
                "action": {"type": "str", "choices": ["promote", "pause", "shutdown"]},
                "skip": {"type": "list", "elements": "str"},
            },
            "mutually_exclusive": [[*points, *ends]],
            "required_one_of": [[*points, *ends]],
        }
    }


def questions_option() -> Spec:
    """What is asked of restored data: documented in the fragment ``_questions``."""
    place = {"database": {"type": "str"}, "collection": {"type": "str", "required": True}}
    reference = {"type": "str", "choices": ["noted", "previous", "primary"], "required": True}
    difference = {"type": "float", "required": True}
    return {
        "questions": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "description": {"type": "str"},
                "ask": {"type": "list", "elements": "str", "choices": ["verification", "recovery"]},
                "database": {"type": "str"},
                "sql": {"type": "str"},
                "count": {"type": "dict", "options": {**place, "filter": {"type": "dict"}}},
                "find": {"type": "dict", "options": {**place, "filter": {"type": "dict"}}},
                "aggregate": {
                    "type": "dict",
                    "options": {**place, "pipeline": {"type": "list", "elements": "dict", "required": True}},
                },
                "redis": {"type": "list", "elements": "str"},
                "min": {"type": "float"},
                "max": {"type": "float"},
                "equals": {"type": "raw"},
                "within_percent_of": {"type": "dict", "options": {"reference": reference, "percent": difference}},
                "within_count_of": {"type": "dict", "options": {"reference": reference, "count": difference}},
            },
        }
    }


def service_control_option() -> Spec:
    """How a server that is replaced is stopped and started: documented in the fragment ``_service_control``."""
    return {
        "service_control": {
            "type": "dict",
            "options": {
                "unit": {"type": "str"},
                "stop_command": {"type": "str"},
                "start_command": {"type": "str"},
            },
            "mutually_exclusive": [["unit", "stop_command"], ["unit", "start_command"]],
            "required_together": [["stop_command", "start_command"]],
        }
    }


def postgresql_connection_option() -> Spec:
    """How to reach a PostgreSQL server: documented in the fragment ``_postgresql``."""
    return {
        "connection": {
            "type": "dict",
            "default": {},
            "options": {
                "host": {"type": "str"},
                "port": {"type": "int"},
                "user": {"type": "str"},
                "database": {"type": "str"},
                **secret_options("password"),
                "passfile": {"type": "path", "no_log": False},
                "service": {"type": "str"},
                "sslmode": {
                    "type": "str",
                    "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
                },
                "sslrootcert": {"type": "path"},
                "sslcert": {"type": "path"},
                "sslkey": {"type": "path", "no_log": False},
                "connect_timeout": {"type": "int"},
                "bin_directory": {"type": "path"},
            },
        }
    }


def mongodb_connection_option() -> Spec:
    """How to reach a MongoDB server: documented in the fragment ``_mongodb``."""
    return {
        "connection": {
            "type": "dict",
            "default": {},
            "options": {
                **secret_options("uri"),
                "tls_ca_file": {"type": "path"},
                "tls_certificate_key_file": {"type": "path", "no_log": False},
                "server_selection_timeout": {"type": "float"},
            },
        }
    }


def files_connection_option() -> Spec:
    """Which files: documented in the fragment ``_files``."""
    texts = {"type": "list", "elements": "str"}
    return {
        "connection": {
            "type": "dict",
            "default": {},
            "options": {"paths": texts, "optional_paths": texts, "exclude": texts},
        }
    }


def redis_connection_option() -> Spec:
    """How to reach a Redis or Valkey server: documented in the fragment ``_redis``."""
    return {
        "connection": {
            "type": "dict",
            "default": {},
            "options": {
                "host": {"type": "str"},
                "port": {"type": "int"},
                "unix_socket": {"type": "path"},
                "username": {"type": "str"},
                **secret_options("password"),
                "tls": {"type": "bool"},
                "tls_ca_file": {"type": "path"},
                "tls_certificate_file": {"type": "path"},
                "tls_key_file": {"type": "path", "no_log": False},
                "timeout": {"type": "float"},
            },
        }
    }


def approvals_option() -> Spec:
    """Who must approve the plan of a failover, as the description's ``approvals``."""
    signer = {
        "name": {"type": "str", "required": True},
        "key": {"type": "str", "no_log": False},
        "allowed_signers": {"type": "path"},
        "principal": {"type": "str"},
        "description": {"type": "str"},
    }
    return {
        "policy": {
            "type": "dict",
            "options": {
                "needed": {"type": "int", "required": True},
                "signers": {"type": "list", "elements": "dict", "required": True, "options": signer},
                "valid_for": {"type": "str", "default": "4h"},
                "drill": {"type": "str", "choices": ["none", "same"], "default": "none"},
                "revoked_keys": {"type": "path", "no_log": False},
            },
        }
    }
