# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a standby, and bringing a former primary back as one: planned first, then done, then seen to receive."""

from __future__ import annotations

import dataclasses
import os
import shutil
import typing as t
from dataclasses import dataclass, field

from ..core.durable import fsync_folder
from ..core.errors import LifeboatError, RewindFailed, StandbyRefused
from ..core.host import Host
from ..core.ids import new_backup_id
from ..recovery.service_control import service_control_from
from .base_target import EMPTY
from .base_unpack import remove_unpacked
from .cluster_configuration import become_standby, prepare_standby, standby_differs
from .configuration_files import replace_configuration
from .connection import PostgresConnection
from .fence_wal import CommitsAhead, commits_ahead
from .lasting_server import LastingServer
from .programs import ServerPrograms, find_server_programs
from .rewind import Rewind, forget_half_rewound, is_half_rewound, recover_crashed
from .standby_configuration import (
    StandbyConfiguration,
    conninfo,
    standby_settings,
    write_archive_way,
    write_passfile,
)
from .standby_folder import IN_RECOVERY, StandbyFolder, look_at_folder, require_place
from .standby_start import bring_up, reload_server
from .standby_state import StandbyState
from .standby_upstream import UpstreamLook, checkpoint, ensure_slot, look_at_slot, look_at_upstream
from .standby_wal import Archived, forget_rebuilding, look_for_wal, note_rebuilding, noted_rebuilding
from .standby_ways import (
    CONFIGURE,
    CREATE,
    FOLLOW,
    REBUILD,
    REFUSE,
    REWIND,
    START,
    WalVerdict,
    Way,
    choose_way,
    crashed,
)
from .wal_restore_script import restore_command

_COPY_TIMEOUT = 7 * 24 * 3600.0
#: A standby that gets no WAL takes its slot for a moment at each try: so often it is looked whether it is free.
_SLOT_LOOKS, _SLOT_PAUSE = 20, 0.5


@dataclass(frozen=True)
class Seeded:
    """A copy that was put into the data folder; *aside* is where what lay there before is now."""

    text: str
    aside: str | None = None


class Seed(t.Protocol):
    """Where a new copy comes from, when it is not the primary."""

    def plan(self, folder: StandbyFolder) -> str:
        """What would be taken, as a step for people. Raises what makes it impossible."""

    def run(self, folder: StandbyFolder) -> Seeded:
        """Put it into the folder, marked as a standby, not started."""


@dataclass(frozen=True)
class StandbyRequest:
    """A standby in *data_directory* that follows the server of *primary*, itself a standby perhaps.

    *connection* reaches the standby once it runs. *rejoin* is what may be done with a former primary: never, auto,
    rewind or rebuild. *accept_data_loss*: commits that nobody else has may go with a rewind. *timeout* is in seconds,
    for the start and until it has caught up.
    """

    data_directory: str
    primary: PostgresConnection
    connection: PostgresConnection
    configuration: StandbyConfiguration
    rejoin: str = "never"
    accept_data_loss: bool = False
    service_control: t.Mapping[str, t.Any] = field(default_factory=dict)
    bin_directory: str = ""
    timeout: float = 3600.0


@dataclass(frozen=True)
class StandbyMade:
    """What came of it, or would. *only_here* are the commits that the folder had and its successor lacks.

    *state* is what the standby says in the end, None in check mode.
    """

    changed: bool
    way: str
    why: str
    steps: tuple[str, ...]
    slot: str
    slot_made: bool
    only_here: CommitsAhead | None
    aside: str | None
    state: StandbyState | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            **dataclasses.asdict(self),
            "steps": list(self.steps),
            "warnings": list(self.warnings),
            "only_here": None if self.only_here is None else self.only_here.as_dict(),
            "state": None if self.state is None else self.state.as_dict(),
        }


def make_standby(
    request: StandbyRequest,
    *,
    host: Host,
    seed: Seed | None = None,
    archived: Archived | None = None,
    check: bool = False,
) -> StandbyMade:
    """Make it, or find that it is made; with *check* only say what would be done.

    *archived* tells what the archive has, for a standby that gets no WAL from its primary any more.

    Raises StandbyRefused before anything is touched; StandbyNotReached, RewindFailed and what copying raises.
    """
    look = look_at_upstream(request.primary, slot=request.configuration.slot, host=host)
    programs = find_server_programs(
        major=look.state.version // 10000,
        runner=host.runner,
        bin_directory=request.bin_directory or request.primary.bin_directory,
    )
    return _Making(request, look=look, programs=programs, seed=seed, archived=archived, host=host).run(check=check)


class _Making:
    def __init__(
        self,
        request: StandbyRequest,
        *,
        look: UpstreamLook,
        programs: ServerPrograms,
        seed: Seed | None,
        archived: Archived | None,
        host: Host,
    ) -> None:
        self._request = request
        self._configuration = request.configuration
        self._look = look
        self._programs = programs
        self._seed = seed
        self._archived = archived
        self._host = host
        self._settings = standby_settings(request.primary, request.configuration)
        self._folder = look_at_folder(request.data_directory, programs=programs, host=host)
        self._wal = self._look_for_wal()
        self._way = self._choose()
        self._warnings: list[str] = []
        self._aside: str | None = None

    def run(self, *, check: bool) -> StandbyMade:
        only_here = self._only_here()
        self._refuse(only_here)
        if not self._look.bounded:
            self._warnings.append(
                f"Nothing bounds what the slot {self._look.slot.name} keeps at {self._look.state.server}: a standby "
                "that is away fills its disk. There: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB';"
            )
        if check:
            self._look_further()
        steps = self._steps()
        if check:
            changed = (
                self._way.name != CONFIGURE
                or not self._look.slot.there
                or standby_differs(self._folder.path, settings=self._settings)
            )
            return self._made(changed=changed, steps=steps, only_here=only_here, slot_made=False, state=None)
        if self._wal is not None and self._way.name == REBUILD and self._folder.running:
            self._stop_for_ever(self._wal)
        written = write_passfile(self._request.primary, self._configuration, programs=self._programs, host=self._host)
        slot_made = ensure_slot(self._request.primary, self._look.slot, host=self._host)
        if self._configuration.archive is not None:
            size = self._look.segment_size
            written = (
                write_archive_way(self._configuration.archive, segment_size=size, programs=self._programs) or written
            )
        # What the plan said may have had to be left for another way meanwhile.
        steps = self._bring_into_place() or steps
        if self._way.name == CONFIGURE:
            forget_rebuilding(self._folder.path)
        configured = prepare_standby(self._folder.path, settings=self._settings, programs=self._programs)
        state = self._bring_up(reload=written or configured)
        changed = self._way.name != CONFIGURE or written or configured or slot_made
        return self._made(changed=changed, steps=steps, only_here=only_here, slot_made=slot_made, state=state)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def _choose(self) -> Way:
        return choose_way(
            self._folder,
            self._look.upstream,
            rejoin=self._request.rejoin,
            half_rewound=is_half_rewound(self._folder.path),
            wal=self._wal,
        )

    def _look_for_wal(self) -> WalVerdict | None:
        """Whether a running standby can still catch up; of a stopped one what was noted when it could be asked."""
        folder = self._folder
        if not folder.running:
            return noted_rebuilding(folder)
        if folder.state != IN_RECOVERY or not folder.signal:
            return None
        return look_for_wal(
            self._request.connection,
            self._request.primary,
            self._look,
            command=self._settings.get("restore_command", ""),
            archived=self._archived,
            host=self._host,
        )

    def _refuse(self, only_here: CommitsAhead | None) -> None:
        way, slot = self._way, self._look.slot
        if way.name == REFUSE:
            raise StandbyRefused(
                f"{way.why}.", hint=way.hint, details={"only_here": only_here.as_dict() if only_here else None}
            )
        if way.name in (CREATE, REBUILD):
            require_place(self._folder.path, programs=self._programs, host=self._host)
            if self._slot_is_taken():
                raise StandbyRefused(
                    f"The slot {slot.name} at {self._look.state.server} is in use: another standby has it.",
                    hint="Give this one a name or a slot of its own. After a crash it is free again within a minute.",
                )
        if way.name == REWIND:
            self._refuse_loss(only_here)

    def _slot_is_taken(self) -> bool:
        """By another standby; the one in the folder takes it, too, while it runs, whenever it tries once more."""
        slot = self._look.slot
        for _look in range(_SLOT_LOOKS if self._folder.running else 0):
            if not slot.active:
                break
            self._host.clock.sleep(_SLOT_PAUSE)
            slot = look_at_slot(self._request.primary, slot.name, host=self._host)
        return slot.active

    def _refuse_loss(self, only_here: CommitsAhead | None) -> None:
        if self._request.accept_data_loss or (only_here is not None and only_here.count == 0):
            return
        known = (
            "nobody knows how many commits are"
            if only_here is None
            else f"{only_here.count} commits of {only_here.first} to {only_here.last} are"
        )
        raise StandbyRefused(
            f"{known[0].upper()}{known[1:]} in {self._folder.path} and nowhere else, and a rewind takes them away.",
            hint="Keep them with rejoin: rebuild (the folder is moved aside), or lose them: accept_data_loss: true "
            "(dr_failback.yml: -e lifeboat_accept_rewind=true).",
            details={"only_here": only_here.as_dict() if only_here else None},
        )

    def _only_here(self) -> CommitsAhead | None:
        """The commits behind the place at which the folder left its successor's way."""
        if self._way.left is None or self._folder.running:
            return None
        return commits_ahead(
            self._folder.path,
            received=self._way.left,
            timeline=self._folder.timeline,
            segment_size=self._folder.segment_size,
            programs=self._programs,
            runner=self._host.runner,
        )

    def _look_further(self) -> None:
        """What only trying tells: whether pg_rewind will do it, whether there is a backup."""
        if self._way.name == REWIND and not crashed(self._folder):
            self._rebuild_where_rewind_refuses()

    def _rebuild_where_rewind_refuses(self) -> None:
        refusal = self._rewind().refusal()
        if refusal is None:
            return
        if self._request.rejoin != "auto":
            raise StandbyRefused(
                f"pg_rewind refuses {self._folder.path}: {refusal}.",
                hint="Set rejoin: auto or rebuild; what is there is moved aside, not removed.",
                details={"said": refusal},
            )
        self._way = dataclasses.replace(self._way, name=REBUILD, why=f"{self._way.why}; pg_rewind refuses: {refusal}")
        require_place(self._folder.path, programs=self._programs, host=self._host)

    def _steps(self) -> tuple[str, ...]:
        name, path, server = self._way.name, self._folder.path, self._look.state.server
        slot = self._look.slot
        steps = [f"stop the server on {path}"] if name == REBUILD and self._folder.running else []
        if not slot.there or slot.lost:
            steps.append(f"make the slot {slot.name} at {server}" + (" anew, its WAL is gone" if slot.lost else ""))
        if name in (CREATE, REBUILD):
            if name == REBUILD:
                steps.append(f"move {path} aside")
            steps.append(
                self._seed.plan(self._folder)
                if self._seed is not None
                else f"copy {server} into {path} by pg_basebackup"
            )
        if name == REWIND:
            if crashed(self._folder):
                steps.append("replay what is on its disk, as a standby that follows nobody")
            steps.append(f"rewind {path} to {server} by pg_rewind")
        if name in (FOLLOW, REWIND):
            steps.append("remove the slots that it had as a primary")
        steps.append(f"have it follow {server} as {self._configuration.name}")
        if name != CONFIGURE:
            steps.append("start it, and wait until it has received and replayed all that its primary has")
        return tuple(steps)

    # --- doing --------------------------------------------------------------------------------------------------------

    def _stop_for_ever(self, wal: WalVerdict) -> None:
        """A standby that can't catch up; noted first, so that a run that dies is taken up where it was."""
        note_rebuilding(self._folder.path, wal)
        self._server().stop()
        self._folder = look_at_folder(self._folder.path, programs=self._programs, host=self._host)

    def _bring_into_place(self) -> tuple[str, ...] | None:
        """Until a folder lies there that can be started as a standby; the steps, where they became others."""
        if self._way.name == REWIND:
            return self._rejoin()
        if self._way.name in (CREATE, REBUILD):
            self._copy()
        elif self._way.name == FOLLOW:
            self._remove_slots()
        return None

    def _rejoin(self) -> tuple[str, ...] | None:
        planned = self._steps()
        if crashed(self._folder):
            recover_crashed(self._folder.path, programs=self._programs, host=self._host)
            self._folder = look_at_folder(self._folder.path, programs=self._programs, host=self._host)
            why, self._way = self._way.why, self._choose()
            if self._way.name == START:
                self._way = Way(FOLLOW, f"{why}, and it has nothing that its successor lacks")
        if self._way.name == REWIND:
            if not checkpoint(self._request.primary, host=self._host):
                self._warnings.append(
                    "The role may not CHECKPOINT there; pg_rewind sees the new timeline after the next."
                )
            self._rebuild_where_rewind_refuses()
        if self._way.name == REBUILD:
            steps = self._steps()
            self._copy()
            return steps
        if self._way.name == REWIND:
            try:
                self._rewind().run()
            except RewindFailed as error:
                if self._request.rejoin != "auto":
                    raise
                self._way = dataclasses.replace(self._way, name=REBUILD, why=f"{self._way.why}; {error.message}")
                self._copy()
                return (*planned, *self._steps())
        self._remove_slots()
        return planned

    def _rewind(self) -> Rewind:
        archive = self._configuration.archive
        command = restore_command(script=archive.script, cache=archive.cache) if archive else ""
        return Rewind(
            folder=self._folder.path,
            source=conninfo(
                self._request.primary, self._configuration, database=self._request.primary.database or "postgres"
            ),
            programs=self._programs,
            host=self._host,
            restore_command=command,
        )

    def _remove_slots(self) -> None:
        """Those of its time as a primary: nobody would ever take what they keep, and the disk would fill."""
        folder = os.path.join(self._folder.path, "pg_replslot")
        for name in sorted(os.listdir(folder)):
            shutil.rmtree(os.path.join(folder, name))

    def _copy(self) -> None:
        folder = self._folder
        if folder.is_cluster:
            self._server().require_stopped()
            become_standby(folder.path, programs=self._programs)  # aside, too, nobody shall start a second primary
        if self._seed is not None:
            if folder.found == EMPTY:
                os.rmdir(folder.path)
            self._aside = self._seed.run(folder).aside
        else:
            self._copy_primary()
        if self._aside is not None and folder.is_cluster:
            # The copy has that of the other server: its port, its addresses.
            replace_configuration(self._aside, folder.path, programs=self._programs)
        forget_half_rewound(folder.path)
        forget_rebuilding(folder.path)

    def _copy_primary(self) -> None:
        """Beside first, then by a rename: what lies there is whole, and never takes writes."""
        folder = self._folder.path
        made = f"{folder}.copying"
        remove_unpacked(made)  # of an attempt that died
        self._programs.run(
            "pg_basebackup",
            "--pgdata", made,
            "--dbname", conninfo(self._request.primary, self._configuration),
            "--slot", self._configuration.slot,
            "--wal-method=stream", "--checkpoint=fast", "--no-password",
            runner=self._host.runner,
            timeout=_COPY_TIMEOUT,
        )  # fmt: skip
        become_standby(made, programs=self._programs)
        if self._folder.is_cluster:
            self._aside = f"{folder}.before-{new_backup_id(now=self._host.clock.now())}"
            os.rename(folder, self._aside)
        os.rename(made, folder)
        fsync_folder(os.path.dirname(folder))

    def _bring_up(self, *, reload: bool) -> StandbyState:
        server = self._server()
        if not server.is_running:
            unit = self._request.service_control.get("unit")
            if unit:
                # Fencing has masked it.
                try:
                    self._host.runner.run(["systemctl", "unmask", str(unit)], timeout=30)
                except LifeboatError as error:
                    self._warnings.append(f"The unit {unit} could not be unmasked: {error.message}")
        elif reload:
            reload_server(self._folder.path, programs=self._programs, host=self._host)
        state, warnings = bring_up(
            server,
            connection=self._request.connection,
            upstream=self._look.upstream,
            folder=self._folder.path,
            timeout=self._request.timeout,
            host=self._host,
        )
        self._warnings += warnings
        return state

    def _server(self) -> LastingServer:
        return LastingServer(
            data_directory=self._folder.path,
            programs=self._programs,
            host=self._host,
            control=service_control_from(self._request.service_control),
            timeout=self._request.timeout,
        )

    def _made(
        self,
        *,
        changed: bool,
        steps: tuple[str, ...],
        only_here: CommitsAhead | None,
        slot_made: bool,
        state: StandbyState | None,
    ) -> StandbyMade:
        return StandbyMade(
            changed=changed,
            way=self._way.name,
            why=self._way.why,
            steps=steps if changed else (),
            slot=self._configuration.slot,
            slot_made=slot_made,
            only_here=only_here,
            aside=self._aside,
            state=state,
            warnings=tuple(self._warnings),
        )
