# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a restored cluster: what must not be taken over from the backup, and what is new."""

from __future__ import annotations

import os
import re
import shutil
import typing as t

from .instance import AUTO_CONF, RECOVERY_SIGNAL, SIGNAL_FILES, STANDBY_SIGNAL
from .programs import ServerPrograms
from .server_settings import settings_text

POSTGRESQL_CONF, HBA_CONF, IDENT_CONF, CONF_D = "postgresql.conf", "pg_hba.conf", "pg_ident.conf", "conf.d"
# A cluster that is restored follows nobody, and recovers from no archive of then.
_RECOVERY = frozenset(
    (
        "primary_conninfo",
        "primary_slot_name",
        "restore_command",
        "archive_cleanup_command",
        "recovery_end_command",
        "recovery_min_apply_delay",
        "promote_trigger_file",
        "recovery_target",
        "recovery_target_action",
        "recovery_target_inclusive",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_timeline",
        "recovery_target_xid",
    )
)
# Where a cluster lives: a copy that heeds those of its source would run on the source's own data.
_PLACES = frozenset(("data_directory", "hba_file", "ident_file", "external_pid_file", "config_file"))
# What would make a copy beside its source act in the source's name.
_ACTING = frozenset(
    (
        "archive_mode",
        "archive_command",
        "archive_library",
        "listen_addresses",
        "port",
        "unix_socket_directories",
        "synchronous_standby_names",
        "max_logical_replication_workers",
        "cluster_name",
        "hot_standby",
    )
)
_BEGIN, _END = "# begin: set by a restore", "# end: set by a restore"
_NAME = re.compile(r"^\s*(?P<name>[A-Za-z_][\w.]*)\s*[=\s]")
_COMMENT = "# left out by a restore: "
_NEW_TIMELINE: t.Mapping[str, str] = {
    # The archive is not asked: the WAL that the backup needs is in it. PostgreSQL then begins a timeline of its own, so
    # that what it archives from now on never has the name of what the source archived.
    "restore_command": "false",
    "recovery_target_timeline": "current",
    "hot_standby": "off",
}


def prepare_in_place(folder: str, *, programs: ServerPrograms) -> None:
    """For a cluster that takes its predecessor's place: settings stay, but for those of an earlier recovery."""
    _remove_signal_files(folder)
    _rewrite_auto_conf(folder, drop=_RECOVERY, add={}, programs=programs)


def prepare_standby(folder: str, *, settings: t.Mapping[str, str], programs: ServerPrograms) -> bool:
    """For a cluster that follows another one by *settings*; whether anything was changed.

    The signal file comes first: whatever starts the server from now on gets a standby.
    """
    if not standby_differs(folder, settings=settings):
        return False
    become_standby(folder, programs=programs)
    leave_out_recovery(folder, programs=programs)
    _rewrite_auto_conf(folder, drop=_RECOVERY, add=settings, programs=programs)
    return True


def standby_differs(folder: str, *, settings: t.Mapping[str, str]) -> bool:
    """Whether :func:`prepare_standby` would change anything."""
    signal, other = (os.path.join(folder, name) for name in (STANDBY_SIGNAL, RECOVERY_SIGNAL))
    if _read(signal) != "" or not os.path.lexists(signal) or os.path.lexists(other):
        return True
    if any(_name_of(line) in _RECOVERY for path in _configuration_files(folder) for line in _read(path).splitlines()):
        return True
    lines = _read(os.path.join(folder, AUTO_CONF)).splitlines(keepends=True)
    present = [line for line in lines if _name_of(line) in _RECOVERY | frozenset(settings)]
    return sorted(present) != sorted(settings_text(settings).splitlines(keepends=True))


def become_standby(folder: str, *, programs: ServerPrograms) -> bool:
    """Let every next start be that of a standby; False when it was so already."""
    wanted, other = (os.path.join(folder, name) for name in (STANDBY_SIGNAL, RECOVERY_SIGNAL))
    changed = _read(wanted) != "" or not os.path.lexists(wanted) or os.path.lexists(other)
    if changed:
        _write(wanted, "", programs)
        if os.path.lexists(other):
            os.unlink(other)
    return changed


def prepare_beside(
    folder: str, *, port: int | None, listen_addresses: str, socket_directory: str, programs: ServerPrograms
) -> bool:
    """For a copy beside its source: it archives nothing, pulls from nobody and starts no jobs.

    Whether a configuration was there; where it was not (Debian keeps it elsewhere) a small one is written.
    """
    _remove_signal_files(folder)
    was_there = os.path.isfile(os.path.join(folder, POSTGRESQL_CONF))
    if not was_there:
        _write(os.path.join(folder, POSTGRESQL_CONF), "# Written by a restore: the backup holds none.\n", programs)
    for path in _configuration_files(folder):
        _leave_out(path, names=_PLACES | _RECOVERY, programs=programs)
    for name, text in ((HBA_CONF, _hba(socket_directory)), (IDENT_CONF, "")):
        if not os.path.isfile(os.path.join(folder, name)):
            _write(os.path.join(folder, name), text, programs)
    values = {
        "archive_mode": "off",
        "listen_addresses": listen_addresses,
        "unix_socket_directories": socket_directory,
        "unix_socket_permissions": "0700",
        "synchronous_standby_names": "",
        "max_logical_replication_workers": "0",
        "cron.launch_active_jobs": "off",
        "cluster_name": "restored",
    }
    if port is not None:
        values["port"] = str(port)
    _rewrite_auto_conf(folder, drop=_RECOVERY | _PLACES | _ACTING, add=values, programs=programs)
    return was_there


def begin_new_timeline(folder: str, *, programs: ServerPrograms) -> None:
    """Let the next start leave the timeline of the backup; :func:`end_recovery` takes the settings away again."""
    begin_recovery(folder, settings=_NEW_TIMELINE, programs=programs)


def begin_recovery(folder: str, *, settings: t.Mapping[str, str], programs: ServerPrograms) -> None:
    """Let the next starts recover by *settings*, until one has ended it; :func:`end_recovery` takes them away again."""
    end_recovery(folder, programs=programs)
    path = os.path.join(folder, AUTO_CONF)
    text = _read(path)
    if text and not text.endswith("\n"):
        text += "\n"
    _write(path, text + f"{_BEGIN}\n{settings_text(settings)}{_END}\n", programs)
    ask_for_recovery(folder, programs=programs)


def ask_for_recovery(folder: str, *, programs: ServerPrograms) -> None:
    """Let the next start be a recovery; by which settings it is told elsewhere."""
    _write(os.path.join(folder, RECOVERY_SIGNAL), "", programs)


def leave_out_recovery(folder: str, *, programs: ServerPrograms) -> None:
    """Comment out what the configuration files in the folder say of an earlier recovery: two targets are refused."""
    for path in _configuration_files(folder):
        _leave_out(path, names=_RECOVERY, programs=programs)


def end_recovery(folder: str, *, programs: ServerPrograms) -> None:
    """Take the settings of :func:`begin_recovery` out; no error when they are not there."""
    path = os.path.join(folder, AUTO_CONF)
    text = _read(path)
    kept = re.sub(rf"^{_BEGIN}\n.*?^{_END}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    if kept != text:
        _write(path, kept, programs)


def copy_configuration(source: str, folder: str, *, programs: ServerPrograms) -> list[str]:
    """Copy postgresql.conf, pg_hba.conf, pg_ident.conf and conf.d from *source* to the data folder; what was there."""
    copied = []
    for name in (POSTGRESQL_CONF, HBA_CONF, IDENT_CONF):
        path = os.path.join(source, name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                _write(os.path.join(folder, name), file.read(), programs)
            copied.append(name)
    if os.path.isdir(os.path.join(source, CONF_D)):
        target = os.path.join(folder, CONF_D)
        shutil.rmtree(target, ignore_errors=True)
        os.mkdir(target, 0o700)
        programs.own(target)
        for name in sorted(os.listdir(os.path.join(source, CONF_D))):
            path = os.path.join(source, CONF_D, name)
            if name.endswith(".conf") and os.path.isfile(path):
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    _write(os.path.join(target, name), file.read(), programs)
        copied.append(CONF_D)
    return copied


def _hba(socket_directory: str) -> str:
    return (
        f"# Written by a restore. Only who may enter {socket_directory} comes as far as this.\n"
        "local all all trust\nlocal replication all trust\nhost all all samehost scram-sha-256\n"
    )


def _configuration_files(folder: str) -> t.Iterator[str]:
    """postgresql.conf and what it usually includes."""
    yield os.path.join(folder, POSTGRESQL_CONF)
    for place in (folder, os.path.join(folder, CONF_D)):
        if os.path.isdir(place):
            for name in sorted(os.listdir(place)):
                path = os.path.join(place, name)
                is_conf = name.endswith(".conf") and name not in (POSTGRESQL_CONF, AUTO_CONF, HBA_CONF, IDENT_CONF)
                if is_conf and os.path.isfile(path):
                    yield path


def _leave_out(path: str, *, names: frozenset[str], programs: ServerPrograms) -> None:
    lines = _read(path).splitlines(keepends=True)
    kept = [_COMMENT + line if _name_of(line) in names else line for line in lines]
    if kept != lines:
        _write(path, "".join(kept), programs)


def _rewrite_auto_conf(
    folder: str, *, drop: frozenset[str], add: t.Mapping[str, str], programs: ServerPrograms
) -> None:
    path = os.path.join(folder, AUTO_CONF)
    gone = drop | frozenset(add)
    lines, wanted = _read(path).splitlines(keepends=True), settings_text(add)
    present = [line for line in lines if _name_of(line) in gone]
    if sorted(present) != sorted(wanted.splitlines(keepends=True)):  # the server itself keeps another order
        kept = [line for line in lines if _name_of(line) not in gone]
        _write(path, "".join(kept) + wanted, programs)


def _name_of(line: str) -> str | None:
    match = _NAME.match(line)
    return match["name"].lower() if match else None


def _remove_signal_files(folder: str) -> None:
    for name in SIGNAL_FILES:
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            os.unlink(path)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str, programs: ServerPrograms) -> None:
    """Under another name first: a file that is half written would keep the server from starting."""
    temporary = path + ".new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    programs.own(temporary)
    os.replace(temporary, path)
