# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Being told to stop: SIGTERM, SIGHUP and SIGINT end an operation in good order, with its clean-up."""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

from .errors import Interrupted

if t.TYPE_CHECKING:
    from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Stop(BaseException):
    """Raised in the main thread by a signal.

    Not an Exception: a library would take it for a failed request and try again (botocore does), and a repository in
    whose call it came up would be left out while the run goes on.
    """


@contextlib.contextmanager
def stopping_on_signals() -> t.Iterator[None]:
    """Inside of the block a signal raises Stop, which comes out of it as the error Interrupted.

    For front doors, around all that they do; in the main thread only, as Python takes signals nowhere else.
    """
    stopper = _Stopper()
    before: dict[signal.Signals, t.Any] = {}
    try:
        try:
            # Held: a signal between two of these lines must come out as Interrupted, too.
            with stopper.held():
                for number in _SIGNALS:
                    before[number] = signal.signal(number, stopper)
            yield
        finally:
            with stopper.held():
                for number, handler in before.items():
                    signal.signal(number, handler)
    except Stop as stop:
        raise interrupted(stop) from None


@contextlib.contextmanager
def undisturbed() -> t.Iterator[None]:
    """Inside of the block no signal raises Stop; one that came meanwhile does so at its end.

    For the few moments in which something begins (a process, an upload) that nobody would know of, and therefore end,
    if the line that takes note of it were never reached.
    """
    stopper = signal.getsignal(_SIGNALS[0])
    if not isinstance(stopper, _Stopper) or threading.current_thread() is not threading.main_thread():
        yield
        return
    with stopper.held():
        yield


def interrupted(stop: Stop) -> Interrupted:
    """The error that says so."""
    return Interrupted(f"The run was ended by {stop}; what it had written of a backup was removed again.")


class _Stopper:
    """The handler of the signals. It holds what :func:`undisturbed` needs, so that nothing is global."""

    def __init__(self) -> None:
        self._holds = 0
        self._waiting: Stop | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        stop = Stop(signal.Signals(number).name)
        if not self._holds:
            raise stop
        self._waiting = stop

    @contextlib.contextmanager
    def held(self) -> t.Iterator[None]:
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            stop, self._waiting = (None, self._waiting) if self._holds else (self._waiting, None)
            if stop is not None:
                raise stop
