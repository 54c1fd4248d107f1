# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of restoring a base backup: everything is made ready beside, then put in place by renaming."""

from __future__ import annotations

import os

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
    begin_new_timeline,
    copy_configuration,
    end_recovery,
    prepare_beside,
    prepare_in_place,
)
from .lasting_server import LastingServer
from .programs import ServerPrograms, find_server_programs
from .server_state import READ_WRITE, postmaster_pid

UNPACK, VERIFY, PREPARE, STOP, SWAP, PLACE, START = "unpack", "verify", "prepare", "stop", "swap", "place", "start"
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
    ) -> None:
        self._source = source
        self._context = context
        self._host = context.host
        self._options = options
        self._place = place
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
        if options.verify:
            title = "Check every file against the backup's manifest"
            steps.append(Step(name=VERIFY, title=title, do=self._verify, undo=_nothing))
        steps.append(Step(name=PREPARE, title="Prepare the configuration", do=self._prepare, undo=_nothing))
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
            steps.append(
                Step(
                    name=PLACE,
                    title=f"Give the restored cluster its name {place.data_directory}",
                    plan=lambda: {"was_empty": place.what_is_there() == EMPTY},
                    do=self._put,
                    undo=self._take,
                )
            )
        if options.start:
            title = "Start the restored cluster and wait until it takes writes"
            steps.append(Step(name=START, title=title, do=self._start, undo=self._stop_new))
        return steps

    # --- making the cluster ready -------------------------------------------------------------------------------------

    def _plan_unpack(self) -> Facts:
        return {"staging": self._place.staging, "chain": [one.manifest.backup_id for one in self._context.chain]}

    def _unpack(self, facts: Facts) -> Facts | None:
        del facts
        folder = self._place.staging
        remove_unpacked(folder)  # of an attempt that died
        unpack_chain(
            self._source,
            chain=self._context.chain,
            folder=folder,
            programs=self._programs(),
            runner=self._host.runner,
            progress=self._progress,
            durable=True,
        )
        return None

    def _remove_staging(self, facts: Facts) -> None:
        del facts
        remove_unpacked(self._place.staging)

    def _verify(self, facts: Facts) -> Facts:
        del facts
        # After a death behind the configuration's change there is nothing to compare any more.
        return {"checked_by": verify_folder(self._place.staging, programs=self._programs(), runner=self._host.runner)}

    def _prepare(self, facts: Facts) -> Facts:
        del facts
        folder, options, programs = self._place.staging, self._options, self._programs()
        control = read_control(folder)
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
        if options.new_timeline:
            begin_new_timeline(folder, programs=programs)
        self._host.runner.run(["sync", "-f", folder], timeout=_SYNC_TIMEOUT)
        return {
            "system_identifier": control.system_identifier,
            "configuration": copied or "of the backup",
            "warnings": warnings,
        }

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

    def _start(self, facts: Facts) -> Facts:
        del facts
        self._server().start()
        # The next start must not begin yet another timeline.
        end_recovery(self._place.data_directory, programs=self._programs())
        return {"state": READ_WRITE}

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
