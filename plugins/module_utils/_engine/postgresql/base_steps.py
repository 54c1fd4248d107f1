# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of restoring a base backup: everything is made ready beside, then put in place by renaming."""

from __future__ import annotations

import os
import typing as t

from ..core.durable import fsync_folder
from ..core.errors import RestoreIncomplete
from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.restorer import RestorerContext
from ..recovery.steps import Facts, Step
from .base_folder import read_control, verify_folder
from .base_label import expectations
from .base_restore_options import BaseRestoreOptions
from .base_target import EMPTY, BaseTarget
from .base_unpack import remove_unpacked, unpack_chain
from .cluster_configuration import (
    become_standby,
    begin_new_timeline,
    copy_configuration,
    end_recovery,
    leave_out_recovery,
    prepare_beside,
    prepare_in_place,
)
from .lasting_server import LastingServer
from .names import parse_lsn
from .programs import ServerPrograms, find_server_programs
from .recovery_pause import PauseQuestion
from .recovery_replay import Replay, begun_timeline, replayed_position
from .recovery_timelines import BEGINS, facts_of_next, put_histories, taken_timelines
from .server_state import READ_WRITE, postmaster_pid
from .tablespace_moves import TablespaceMoves
from .tablespace_places import TablespacePlace, make_folders, missing_folders, remove_folders
from .tablespace_wal import refuse_own_wal
from .tablespaces import remove_map
from .walg_archive import WalgSegments
from .walg_restore import is_walg

UNPACK, VERIFY, PREPARE, REPLAY = "unpack", "verify", "prepare", "replay"
STOP, SPACES, SWAP, PLACE, START = "stop", "tablespaces", "swap", "place", "start"
_SYNC_TIMEOUT = 24 * 3600.0


class BaseSteps:
    """One restore's steps; the same for the same options, whatever has become of the target meanwhile."""

    def __init__(
        self,
        *,
        source: PayloadSource,
        context: RestorerContext,
        options: BaseRestoreOptions,
        place: BaseTarget,
        progress: Progress,
        spaces: t.Sequence[TablespacePlace] = (),
    ) -> None:
        self._source = source
        self._context = context
        self._host = context.host
        self._options = options
        self._place = place
        self._spaces = spaces
        self._progress = progress

    def all(self) -> list[Step]:
        """In order."""
        place, options = self._place, self._options
        chain = f" and the {len(self._context.chain)} backups that it builds on" if self._context.chain else ""
        steps = [
            Step(
                name=UNPACK,
                title=f"Unpack {self._source.manifest.backup_id}{chain} into {place.staging}",
                plan=self._plan_unpack,
                do=self._unpack,
                undo=self._remove_staging,
            )
        ]
        # The backups of WAL-G come without a list of their files.
        if options.verify and not is_walg(self._source.manifest):
            title = "Check every file against the backup's manifest"
            steps.append(Step(name=VERIFY, title=title, do=self._verify, undo=_nothing))
        steps.append(Step(name=PREPARE, title="Prepare the configuration", do=self._prepare, undo=_nothing))
        if self._context.segments is not None:
            steps.append(Step(name=REPLAY, title=self._replay_title(), do=self._replay, undo=self._end_replay))
        if options.in_place:
            if options.service_control is not None:
                steps.append(
                    Step(
                        name=STOP,
                        title=f"Stop {options.service_control.name}",
                        plan=lambda: {"was_running": postmaster_pid(place.data_directory) is not None},
                        do=self._stop,
                        undo=self._start_old,
                    )
                )
            steps.extend(self._moving())
            steps.append(
                Step(
                    name=SWAP,
                    title=f"Move {place.data_directory} aside and the restored cluster in its place",
                    plan=lambda: {"aside": place.aside, "moved": os.path.lexists(place.data_directory)},
                    do=self._swap,
                    undo=self._swap_back,
                )
            )
        else:
            steps.extend(self._moving())
            steps.append(
                Step(
                    name=PLACE,
                    title=f"Give the restored cluster its name {place.data_directory}",
                    plan=lambda: {"was_empty": place.what_is_there() == EMPTY},
                    do=self._put,
                    undo=self._take,
                )
            )
        if options.start and self._action != "shutdown":
            until = "has paused at the target" if self._action == "pause" else "takes writes"
            title = f"Start the restored cluster and wait until it {until}"
            steps.append(Step(name=START, title=title, plan=self._plan_start, do=self._start, undo=self._stop_new))
        return steps

    # --- making the cluster ready -------------------------------------------------------------------------------------

    def _plan_unpack(self) -> Facts:
        return {
            "staging": self._place.staging,
            "chain": [one.manifest.backup_id for one in self._context.chain],
            "made": list(dict.fromkeys(folder for one in self._spaces for folder in missing_folders(one))),
        }

    def _unpack(self, facts: Facts) -> Facts | None:
        del facts
        folder = self._place.staging
        remove_unpacked(folder)  # of an attempt that died
        for one in self._spaces:
            remove_unpacked(one.staging)
        make_folders(self._spaces, programs=self._programs())
        unpack_chain(
            self._source,
            chain=self._context.chain,
            folder=folder,
            programs=self._programs(),
            runner=self._host.runner,
            progress=self._progress,
            durable=True,
            clock=self._host.clock,
            walg=self._options.walg,
            with_wal=self._context.segments is None,
            tablespaces=[one.staged for one in self._spaces],
        )
        return None

    def _remove_staging(self, facts: Facts) -> None:
        remove_unpacked(self._place.staging)
        for one in self._spaces:
            remove_unpacked(one.staging)
        remove_folders(facts.get("made", ()))

    def _verify(self, facts: Facts) -> Facts:
        del facts
        # After a death behind the configuration's change there is nothing to compare any more.
        return {"checked_by": verify_folder(self._place.staging, programs=self._programs(), runner=self._host.runner)}

    def _prepare(self, facts: Facts) -> Facts:
        del facts
        folder, options, programs = self._place.staging, self._options, self._programs()
        control = read_control(folder)
        remove_map(folder)  # the links are there already
        refuse_own_wal(folder, manifest=self._source.manifest, programs=programs, runner=self._host.runner)
        _major, identifier, _start = expectations(self._source.manifest.content)
        if identifier is not None and control.system_identifier != identifier:
            raise RestoreIncomplete(
                f"The backup holds the cluster {control.system_identifier}, and its manifest says {identifier}.",
                hint="Restore another backup: lifeboat list shows them.",
            )
        warnings = []
        copied: list[str] = []
        if options.config_directory:
            copied = copy_configuration(options.config_directory, folder, programs=programs)
        if options.in_place:
            prepare_in_place(folder, programs=programs)
        else:
            had_one = prepare_beside(
                folder,
                port=options.port,
                listen_addresses=options.listen_addresses,
                socket_directory=self._place.data_directory,
                programs=programs,
            )
            if not had_one:
                warnings.append(
                    "The backup holds no postgresql.conf (Debian keeps it in /etc/postgresql), so a small one was "
                    "written; name the folder with config_directory to have it copied."
                )
        if self._context.segments is not None:
            leave_out_recovery(folder, programs=programs)
        elif options.standby:
            become_standby(folder, programs=programs)
        elif options.new_timeline:
            begin_new_timeline(folder, programs=programs)
            put_histories(folder, self._taken(), programs=programs)
        self._sync()
        return {
            "system_identifier": control.system_identifier,
            "configuration": copied or "of the backup",
            "warnings": warnings,
        }

    # --- recovering to a point ----------------------------------------------------------------------------------------

    @property
    def _action(self) -> str:
        segments = self._context.segments
        if isinstance(segments, WalgSegments):
            return segments.target.action  # known without asking, so that a way back needs nobody
        return "promote" if segments is None else segments.plan.target.action

    def _replay_title(self) -> str:
        segments = self._context.segments
        if isinstance(segments, WalgSegments):
            return f"Replay WAL of WAL-G's archive up to {segments.target.text}"
        if segments is None:
            raise AssertionError("a replay was asked for without segments")
        return f"Replay {segments.plan.facts.get('wal_segments')} WAL segments up to {segments.plan.target.text}"

    def _replayer(self) -> Replay:
        if self._context.segments is None:
            raise AssertionError("a replay was asked for without segments")
        return Replay(
            folder=self._place.staging,
            segments=self._context.segments,
            programs=self._programs(),
            host=self._host,
            progress=self._progress,
            taken=self._taken(),
        )

    def _taken(self) -> t.Mapping[int, bytes]:
        """Timelines whose numbers must not be used again by a cluster that goes on archiving."""
        if not self._options.in_place:
            return {}
        return taken_timelines(data_directory=self._place.data_directory, state=self._context.state)

    def _replay(self, facts: Facts) -> Facts:
        del facts
        reached = self._replayer().run()
        self._sync()
        return {"reached": reached}

    def _sync(self) -> None:
        for folder in (self._place.staging, *(one.location for one in self._spaces)):
            self._host.runner.run(["sync", "-f", folder], timeout=_SYNC_TIMEOUT)

    def _end_replay(self, facts: Facts) -> None:
        del facts
        self._replayer().remove()

    # --- tablespaces --------------------------------------------------------------------------------------------------

    def _moving(self) -> list[Step]:
        if not self._spaces:
            return []
        names = ", ".join(one.location for one in self._spaces)
        return [
            Step(
                name=SPACES,
                title=f"Put the tablespaces into their places: {names}",
                plan=self._moves().plan,
                do=self._move_spaces,
                undo=self._move_spaces_back,
            )
        ]

    def _moves(self) -> TablespaceMoves:
        major, _identifier, _start = expectations(self._source.manifest.content)
        return TablespaceMoves(
            self._spaces,
            staging=self._place.staging,
            present=self._place.data_directory if self._options.in_place else None,
            major=major or 0,
        )

    def _move_spaces(self, facts: Facts) -> None:
        self._server().require_stopped()
        self._moves().do(facts, programs=self._programs())

    def _move_spaces_back(self, facts: Facts) -> None:
        moves = self._moves()
        if moves.has_moved(facts):
            self._server().require_stopped()
            moves.undo(facts, programs=self._programs())

    # --- in place -----------------------------------------------------------------------------------------------------

    def _stop(self, facts: Facts) -> None:
        del facts
        self._server().stop()

    def _start_old(self, facts: Facts) -> None:
        if facts.get("was_running"):
            self._server().start()

    def _swap(self, facts: Facts) -> None:
        place = self._place
        self._server().require_stopped()
        if facts.get("moved") and not os.path.lexists(place.aside):
            os.rename(place.data_directory, place.aside)
            fsync_folder(os.path.dirname(place.data_directory))
        if os.path.lexists(place.staging):
            os.rename(place.staging, place.data_directory)
        fsync_folder(os.path.dirname(place.data_directory))

    def _swap_back(self, facts: Facts) -> None:
        place = self._place
        was_moved = os.path.lexists(place.aside)
        if facts.get("moved", True) and not was_moved:
            return  # it had not begun, or is taken back already
        if os.path.lexists(place.data_directory) and not os.path.lexists(place.staging):
            self._server().require_stopped()
            os.rename(place.data_directory, place.staging)
        if was_moved:
            os.rename(place.aside, place.data_directory)
        fsync_folder(os.path.dirname(place.data_directory))

    # --- beside -------------------------------------------------------------------------------------------------------

    def _put(self, facts: Facts) -> None:
        """A rename takes the place of an empty folder."""
        del facts
        place = self._place
        if os.path.lexists(place.staging):
            os.rename(place.staging, place.data_directory)
        fsync_folder(os.path.dirname(place.data_directory))

    def _take(self, facts: Facts) -> None:
        place = self._place
        if not os.path.lexists(place.data_directory) or os.path.lexists(place.staging):
            return  # it had not begun: what lies there, if anything, is the empty folder of before
        self._server().require_stopped()
        os.rename(place.data_directory, place.staging)
        if facts.get("was_empty"):
            os.mkdir(place.data_directory, 0o700)
            self._programs().own(place.data_directory)

    # --- the server ---------------------------------------------------------------------------------------------------

    def _pause_question(self) -> PauseQuestion | None:
        if self._action != "pause":
            return None
        return PauseQuestion(
            data_directory=self._place.data_directory,
            programs=self._programs(),
            connection=self._options.connection,
            runner=self._host.runner,
        )

    def _plan_start(self) -> Facts:
        """Before the first start, when the files say how far the replay had come."""
        if self._context.segments is None:
            return {}
        folder = self._place.data_directory
        replayed = replayed_position(folder, programs=self._programs(), host=self._host)
        followed = int(self._context.segments.plan.facts["timeline"])
        return {
            "replayed": replayed,
            BEGINS: facts_of_next(folder, followed=followed, replayed=parse_lsn(replayed)),
        }

    def _start(self, facts: Facts) -> Facts:
        folder = self._place.data_directory
        found: dict[str, t.Any] = {"state": self._server().start(pause=self._pause_question())}
        if found["state"] != READ_WRITE:
            return found  # its recovery is not over
        if self._context.segments is not None:
            found["timeline"] = begun_timeline(folder, at=str(facts.get("replayed")))
        # The next start must not begin yet another timeline.
        end_recovery(folder, programs=self._programs())
        return found

    def _stop_new(self, facts: Facts) -> None:
        del facts
        self._server().stop()

    def _server(self) -> LastingServer:
        return LastingServer(
            data_directory=self._place.data_directory,
            programs=self._programs(),
            host=self._host,
            control=self._options.service_control if self._options.in_place else None,
            timeout=self._options.start_timeout,
        )

    def _programs(self) -> ServerPrograms:
        major, _identifier, _start = expectations(self._source.manifest.content)
        return find_server_programs(
            major=major or 0, runner=self._host.runner, bin_directory=self._options.bin_directory
        )


def _nothing(facts: Facts) -> None:
    """What was done in the staging folder goes with it."""
    del facts
