# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People are told once in a failover, whatever channels, repositories and whoever goes on with it do."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from email import message_from_bytes

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import StorageUnreachable
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.host import Host
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.announcing import (
    BEFORE,
    FAILED,
    NOT_SENT,
    TOLD,
    Announcement,
    announce,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.notify.channels import Channel
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.memory import MemoryStorage
from tests.support.clocks import FakeClock
from tests.support.told_servers import MailServer, WebServer

Json = dict[str, t.Any]


class Silent(MemoryStorage):
    """A repository that does not answer."""

    def get(self, key: str, *, limit: int = 0) -> bytes:
        raise StorageUnreachable("nobody there")

    def put(self, key: str, data: bytes, *, if_absent: bool = True) -> t.Any:
        raise StorageUnreachable("nobody there")


def channel(web: WebServer, name: str = "chat", **options: t.Any) -> Channel:
    return Channel(name=name, kind="webhook", service="shop", options={"url": web.url + "/" + name, **options})


def announcement(to: Channel, audience: str = "users", event: str = "began", run: str = "run-0001") -> Announcement:
    return Announcement(
        service="shop",
        run=run,
        event=event,
        audience=audience,
        channel=to,
        severity="info",
        title="shop is being moved",
        text="shop is being moved to east.",
    )


def told(wanted: t.Sequence[Announcement], *storages: MemoryStorage, check: bool = False) -> list[Json]:
    places = {f"place{number}": storage for number, storage in enumerate(storages)}
    return announce(
        wanted, storages=places, facts={"region": "east"}, check=check, host=Host(clock=FakeClock(), name="desk")
    )


def test_each_is_told_once_in_a_run_and_event(web: WebServer) -> None:
    store = MemoryStorage()
    wanted = [announcement(channel(web)), announcement(channel(web, "page"), "status-page")]
    first = told(wanted, store)
    assert [one["state"] for one in first] == [TOLD, TOLD]
    assert [one["at"] for one in first] == ["2026-11-21T02:00:00Z"] * 2
    again = told(wanted, store)
    assert [(one["state"], one["at"], one["sha256"]) for one in again] == [
        (BEFORE, one["at"], one["sha256"]) for one in first
    ]
    assert sorted(web.paths()) == ["/chat", "/page"]
    # Another event, another run and another audience are something else.
    for other in (
        announcement(channel(web), event="done"),
        announcement(channel(web), run="run-0002"),
        announcement(channel(web), "operators"),
    ):
        assert told([other], store)[0]["state"] == TOLD
    assert len(web.calls) == 5
    # Told by hand, outside of a failover, nobody remembers it.
    by_hand = announcement(channel(web), run="")
    assert [told([by_hand], store)[0]["state"] for _time in range(2)] == [TOLD, TOLD]


def test_what_was_told_is_known_from_any_repository_that_answers(web: WebServer) -> None:
    one, two = MemoryStorage(), MemoryStorage()
    wanted = [announcement(channel(web))]
    told(wanted, one, Silent())
    assert told(wanted, Silent(), one)[0]["state"] == BEFORE
    assert told(wanted, two)[0]["state"] == TOLD
    # No repository at all is no reason to keep silent.
    assert told([announcement(channel(web), event="done")], Silent())[0]["state"] == TOLD


def test_whoever_died_before_it_was_noted_sends_the_same_id_again(web: WebServer) -> None:
    for _life in range(2):
        told([announcement(channel(web))], MemoryStorage())
    assert len({call.headers["Idempotency-Key"] for call in web.calls}) == 1


def test_a_dead_channel_is_told_and_holds_nobody_up(web: WebServer) -> None:
    store = MemoryStorage()
    dead = channel(web, "dead")
    web.statuses["/dead"] = 503
    secret = replace(channel(web, "gone"), options={"url": "http://127.0.0.1:9/secret-part", "timeout": "1s"})
    wanted = [announcement(dead), announcement(channel(web)), announcement(secret)]
    made = told(wanted, store)
    assert [one["state"] for one in made] == [FAILED, TOLD, FAILED]
    assert (made[0]["code"], "503" in made[0]["error"]) == ("notify.channel_unreachable", True)
    assert "secret-part" not in str(made)
    # When it works again, whoever goes on tells those who have not heard it, and nobody else.
    web.statuses.clear()
    assert [one["state"] for one in told(wanted[:2], store)] == [TOLD, BEFORE]


def test_check_mode_tells_nobody_and_notes_nothing(web: WebServer) -> None:
    store = MemoryStorage()
    assert [one["state"] for one in told([announcement(channel(web))], store, check=True)] == [NOT_SENT]
    assert (web.calls, list(store.list())) == ([], [])


def test_a_webhook_mail_and_the_endpoint_for_users_get_it_in_their_form(web: WebServer, mail: MailServer) -> None:
    body = {"incident": {"name": "{title}", "status": "{state}", "body": "{text}", "about": "{facts}"}}
    options = {"base_url": web.url, "endpoints": {"notify_users": "/users"}}
    wanted = [
        announcement(channel(web, body=body)),
        announcement(Channel(name="webhooks", kind="webhooks", service="shop", options=options)),
        announcement(
            Channel(
                name="mail",
                kind="mail",
                service="shop",
                options={"to": ["a@example.org"], "server": "127.0.0.1", "port": mail.port},
            )
        ),
    ]
    assert [one["state"] for one in told(wanted, MemoryStorage())] == [TOLD] * 3
    documents = {call.path: call.document for call in web.calls}
    assert documents["/chat"]["incident"] == {
        "name": "shop is being moved",
        "status": "began",
        "body": "shop is being moved to east.",
        "about": {"region": "east", "audience": "users", "announced": "began", "run": "run-0001"},
    }
    assert (documents["/users"]["endpoint"], documents["/users"]["state"]) == ("notify_users", "began")
    ((_to, message),) = mail.rules.messages
    assert message_from_bytes(message)["Subject"] == "shop is being moved"


def test_a_damaged_note_still_says_that_it_was_told(web: WebServer) -> None:
    store = MemoryStorage()
    one = announcement(channel(web))
    store.put(one.key, b"\x00")
    assert told([one], store)[0]["state"] == BEFORE
    assert web.calls == []


@pytest.mark.parametrize("change", [{"title": "x"}, {"text": "x"}])
def test_the_hash_is_of_what_people_read(change: dict[str, str], web: WebServer) -> None:
    one = announcement(channel(web))
    assert replace(one, **change).sha256 != one.sha256
    assert replace(one, severity="high").sha256 == one.sha256
