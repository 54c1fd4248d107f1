# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling by HTTP: webhooks with endpoints, webhooks of any form, dead-man pings."""

from __future__ import annotations

import json
import typing as t
from urllib.parse import urlsplit, urlunsplit

from ..core.description.placeholders import fill
from ..core.host import Host
from ..core.secrets import secret_from
from ..core.version import VERSION
from .channels import Channel
from .http_call import call
from .values import FAILED, Json, Notice

_AGENT = f"lifeboat/{VERSION}"


def send_to_endpoint(channel: Channel, notice: Notice, *, host: Host) -> None:
    """Send it to the endpoint that it is for. Raises what call() raises, and SecretUnavailable."""
    options = channel.options
    event = channel.endpoint(notice)
    if event is None:
        return
    body = options.get("bodies", {}).get(event)
    document = fill(body, notice.values) if body is not None else {**notice.values, "endpoint": event}
    path = options["endpoints"][event]
    _send(channel, str(options["base_url"]).rstrip("/") + path, "POST", document, notice, host=host)


def send_document(channel: Channel, notice: Notice, *, host: Host) -> None:
    """Send it as the document that the channel describes. Raises the same."""
    options = channel.options
    body = options.get("body")
    document = fill(body, notice.values) if body is not None else dict(notice.values)
    _send(channel, _url(channel, host=host), str(options.get("method", "POST")), document, notice, host=host)


def ping(channel: Channel, notice: Notice, *, host: Host) -> None:
    """Say that a run was a success, or that it failed. Raises the same."""
    ping_suffix(channel, notice.values, channel.options["fail"] if notice.state == FAILED else "", host=host)


def ping_suffix(channel: Channel, values: Json, suffix: str, *, host: Host) -> None:
    """Call the check's address with *suffix* behind its path. Raises the same."""
    parts = urlsplit(_url(channel, host=host))
    path = parts.path.rstrip("/") + fill(f"{channel.options.get('path', '')}{suffix}", values)
    call(
        urlunsplit(parts._replace(path=path)),
        headers={"User-Agent": _AGENT},
        timeout=channel.timeout,
        ca_file=channel.options.get("ca_file"),
    )


def _url(channel: Channel, *, host: Host) -> str:
    return (secret_from(channel.options, "url").fetch(runner=host.runner) or "").strip()


def _send(channel: Channel, url: str, method: str, document: t.Any, notice: Notice, *, host: Host) -> None:
    options = channel.options
    token = secret_from(options, "token").fetch(runner=host.runner)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        # The same when it is sent twice, so that a receiver can tell.
        "Idempotency-Key": notice.notice_id,
        **{name: str(fill(value, notice.values)) for name, value in options.get("headers", {}).items()},
        **({"Authorization": f"Bearer {token}"} if token is not None else {}),
    }
    body = json.dumps(document, ensure_ascii=False).encode("utf-8")
    call(url, method=method, body=body, headers=headers, timeout=channel.timeout, ca_file=options.get("ca_file"))
