# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PostgreSQL server must give for which kind, and the lines that are put into pg_hba.conf."""

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.prepare_functions import (
    functions_needed,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.prepare_needs import (
    WantedSetting,
    by_hand,
    role_needs,
    wanted_settings,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.prepare_role import is_password
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.prepare_rules import (
    lines_of,
    with_lines,
    without_lines,
)

# The example of RFC 7677 (password "pencil") in the form that PostgreSQL stores.
SCRAM = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
RULES = "# PostgreSQL Client Authentication\nlocal all postgres peer\n"


def wanted(*kinds: str, version: int = 170002, in_recovery: bool = False) -> dict[str, WantedSetting]:
    found = wanted_settings(
        kinds, version=version, in_recovery=in_recovery, spool="/spool/a.b.wal", script="/script", timeout="5m"
    )
    return {one.name: one for one in found}


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        (["logical"], []),
        (["base"], ["wal_level", "max_wal_senders", "max_replication_slots"]),
        (["incremental"], ["wal_level", "max_wal_senders", "max_replication_slots", "summarize_wal"]),
        (["wal"], ["wal_level", "archive_mode", "archive_command", "archive_timeout"]),
    ],
)
def test_a_kind_asks_for_what_it_needs_and_no_more(kinds: list[str], names: list[str]) -> None:
    assert list(wanted(*kinds)) == names


def test_what_an_old_server_does_not_know_is_not_asked_of_it() -> None:
    assert "summarize_wal" not in wanted("incremental", version=160004)
    assert "pg_read_all_data" not in role_needs(["logical"], version=130010).memberships
    assert "GRANT SELECT" in by_hand(["logical"], version=130010, role="lifeboat")[0]
    assert by_hand(["logical"], version=140000, role="lifeboat") == ()


def test_a_standby_archives_only_always() -> None:
    mode = wanted("wal", in_recovery=True)["archive_mode"]
    assert (mode.value, mode.fits("on"), mode.fits("always")) == ("always", False, True)
    assert wanted("wal")["archive_mode"].fits("on")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("wal_level", ["replica", "logical"], ["minimal", ""]),
        ("archive_mode", ["on", "always"], ["off"]),
        ("archive_timeout", ["300", "45", "5min", "45s", "1min"], ["0", "301", "1h", "6min", "nonsense", ""]),
        ("archive_command", ["'/other/script' /spool/a.b.wal %p %f"], ["", "cp %p /spool/a.b.wal/%f", "(disabled)"]),
    ],
)
def test_what_fits_already_stays(name: str, good: list[str], bad: list[str]) -> None:
    fits = wanted("wal")[name].fits
    assert [value for value in good if not fits(value)] == []
    assert [value for value in bad if fits(value)] == []
    assert fits(wanted("wal")[name].value)


def test_rights_are_the_least() -> None:
    assert role_needs(["wal"], version=170000).attributes == ()
    assert role_needs(["base", "wal"], version=170000).attributes == ("REPLICATION",)
    assert role_needs(["logical"], version=170000).attributes == ("BYPASSRLS",)


def test_calls_that_only_a_superuser_has_at_first_are_given_by_need_alone() -> None:
    assert functions_needed(labels=False, walg=False, version=170000) == ()
    assert functions_needed(labels=True, walg=False, version=170000) == (
        "pg_create_restore_point(text)",
        "pg_switch_wal()",
    )
    assert functions_needed(labels=False, walg=True, version=150000) == (
        "pg_backup_start(text, boolean)",
        "pg_backup_stop(boolean)",
    )
    assert functions_needed(labels=False, walg=True, version=140011)[0].startswith("pg_start_backup(")


def test_a_stored_password_is_told_from_others() -> None:
    assert is_password(SCRAM, password="pencil", role="user")
    assert not is_password(SCRAM, password="Pencil", role="user")
    old = "md5" + hashlib.md5(b"penciluser", usedforsecurity=False).hexdigest()
    assert is_password(old, password="pencil", role="user")
    assert not is_password(old, password="pencil", role="other")
    assert not is_password(None, password="", role="user")
    assert not is_password("garbage", password="garbage", role="user")


def test_our_lines_come_first_and_go_without_a_trace() -> None:
    lines = ('host all "a.b" 127.0.0.1/32 scram-sha-256', 'host replication "a.b" 127.0.0.1/32 scram-sha-256')
    text = with_lines(RULES, role="a.b", lines=lines)
    assert text.index("scram") < text.index("peer")
    assert lines_of(text, role="a.b") == lines
    assert without_lines(text, role="a.b") == RULES
    # Those of another role, and those that somebody has written there, are nobody's business.
    assert without_lines(text, role="axb") == text
    moved = RULES + with_lines("host all all all reject\n", role="a.b", lines=lines)
    assert without_lines(moved, role="a.b") == RULES + "host all all all reject\n"
