# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application on Kubernetes that takes over: what is set where, and what its rollout has come to. Pure.

The cluster's own objects come in as JSON values and patches go out; whatever is set already is no patch. The mark in
the pods' template is that of one failover: whoever takes the step again restarts nothing a second time.
"""

from __future__ import annotations

import base64
import binascii
import copy
import re
import typing as t

from ..core.description.duration import parse_duration
from ..core.errors import FailoverRefused

Json = t.Mapping[str, t.Any]

MARK = "lifeboat.recovery/failover"
TIMEOUT = "5m"
# Reasons of a waiting container that are a beginning and no trouble.
_STARTING = ("ContainerCreating", "PodInitializing")


def place_of(application: Json, target: Json, plan: Json, *, run: str = "") -> dict[str, t.Any]:
    """Where *application* runs, and what each of its wires says after *plan*.

    Raises FailoverRefused where no cluster is described, or nobody can tell which database a wire means.
    """
    kubernetes: Json = application.get("kubernetes") or {}
    regions = (target.get("surroundings") or {}).get("regions") or ()
    region: Json = next((one for one in regions if one["name"] == application.get("region", target.get("to"))), {})
    context = kubernetes.get("context") or region.get("kubernetes_context")
    if not kubernetes.get("deployment") or not context:
        raise FailoverRefused(
            f"Nothing says on which cluster {application['name']} runs.",
            hint="Describe kubernetes.deployment of the application, and kubernetes_context of its region.",
        )
    return {
        "application": application["name"],
        "context": context,
        "kubeconfig": kubernetes.get("kubeconfig"),
        "namespace": kubernetes.get("namespace") or "default",
        "deployment": kubernetes["deployment"],
        "replicas": kubernetes.get("replicas"),
        "manifests": list(kubernetes.get("manifests") or ()),
        "seconds": int(parse_duration(kubernetes.get("timeout") or TIMEOUT).total_seconds()),
        "mark": f"{run}-{plan['sha256'][:12]}".strip("-"),
        "wires": [_wire(one, application, plan) for one in kubernetes.get("wiring") or ()],
    }


def secrets_of(place: Json) -> list[str]:
    """The Secrets that are changed, each once."""
    return list(dict.fromkeys(one["secret"] for one in place["wires"] if one.get("secret")))


def rights_of(place: Json) -> list[dict[str, str]]:
    """What the account of the context must be allowed to, as resource attributes of a SelfSubjectAccessReview."""
    deployment = {"group": "apps", "resource": "deployments", "name": place["deployment"]}
    verbs = ["get", "patch", *(["create"] if place["manifests"] else [])]
    found = [{**deployment, "verb": verb} for verb in verbs]
    found += [{"group": "", "resource": "pods", "verb": "list"}]
    found += [
        {"group": "", "resource": "secrets", "name": name, "verb": verb}
        for name in secrets_of(place)
        for verb in ("get", "patch")
    ]
    return [{**one, "namespace": place["namespace"]} for one in found]


def refused_rights(reviews: t.Sequence[Json]) -> list[str]:
    """What the answers of the cluster deny, as sentences."""
    found = []
    for review in reviews:
        asked = review["spec"]["resourceAttributes"]
        if not (review.get("status") or {}).get("allowed"):
            name = f" {asked['name']}" if asked.get("name") else ""
            found.append(f"may not {asked['verb']} {asked['resource']}{name} in {asked['namespace']}")
    return found


def deployment_patch(place: Json, deployment: Json) -> dict[str, t.Any]:
    """What has to change of *deployment* (a strategic merge patch); empty when all of it is so already."""
    template = deployment["spec"]["template"]
    patch: dict[str, t.Any] = {}
    containers = _changed_containers(place, template["spec"]["containers"])
    if containers:
        patch["template"] = {"spec": {"containers": containers}}
    if (template.get("metadata") or {}).get("annotations", {}).get(MARK) != place["mark"]:
        patch.setdefault("template", {})["metadata"] = {"annotations": {MARK: place["mark"]}}
    if place["replicas"] is not None and deployment["spec"].get("replicas", 1) != place["replicas"]:
        patch["replicas"] = place["replicas"]
    return {"spec": patch} if patch else {}


def manifests(place: Json, documents: t.Iterable[t.Any]) -> list[dict[str, t.Any]]:
    """*documents* as they are applied: those of the deployment have the wires, the mark and the replicas in them.

    So they are right at once, and applying them again takes nothing back.
    """
    found = []
    for document in documents:
        if not document:
            continue
        applied = copy.deepcopy(dict(document))
        name = (applied.get("metadata") or {}).get("name")
        if applied.get("kind") == "Deployment" and name == place["deployment"]:
            template = applied["spec"]["template"]
            for changed in _changed_containers(place, template["spec"]["containers"]):
                container = next(one for one in template["spec"]["containers"] if one["name"] == changed["name"])
                names = {one["name"] for one in changed["env"]}
                kept = [one for one in container.get("env") or () if one["name"] not in names]
                new = [{key: value for key, value in one.items() if value is not None} for one in changed["env"]]
                container["env"] = [*kept, *new]
            template.setdefault("metadata", {}).setdefault("annotations", {})[MARK] = place["mark"]
            if place["replicas"] is not None:
                applied["spec"]["replicas"] = place["replicas"]
        found.append(applied)
    return found


def secret_patches(place: Json, secrets: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    """What has to change of *secrets*, as ``name`` and ``data`` in base64. Raises FailoverRefused."""
    found = []
    for name in secrets_of(place):
        secret = next((one for one in secrets if one["metadata"]["name"] == name), None)
        if secret is None:
            raise FailoverRefused(
                f"The cluster {place['context']} has no Secret {name} in {place['namespace']}.",
                hint="Create it there, or describe another one in kubernetes.wiring.",
            )
        present: dict[str, str] = dict(secret.get("data") or {})
        changed = dict(present)
        for wire in place["wires"]:
            if wire.get("secret") == name:
                where = f"the key {wire['key']} of the Secret {name}"
                text = _replaced(wire, _decoded(changed.get(wire["key"]), where), where)
                changed[wire["key"]] = base64.b64encode(text.encode("utf-8")).decode("ascii")
        data = {key: value for key, value in changed.items() if present.get(key) != value}
        if data:
            found.append({"name": name, "data": data})
    return found


def rollout(deployment: Json, place: Json) -> dict[str, t.Any]:
    """How far the rollout is: ``done``, ``failed`` (the cluster has given it up), and a ``text``."""
    status: Json = deployment.get("status") or {}
    wanted = int(deployment["spec"].get("replicas", 1))
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    total = int(status.get("replicas") or 0)
    seen = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"]["generation"])
    marked = (deployment["spec"]["template"].get("metadata") or {}).get("annotations", {}).get(MARK) == place["mark"]
    failed = seen and any(
        one.get("type") == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded"
        for one in status.get("conditions") or ()
    )
    done = seen and marked and updated == total == available == wanted
    text = f"{updated} of {wanted} pods are new, {available} are available, {max(0, total - updated)} old ones are left"
    if not seen:
        text = "the cluster's controllers have not seen the change"
    return {"done": done, "failed": failed, "text": text}


def pod_reasons(pods: t.Sequence[Json]) -> list[str]:
    """Why pods are not ready, each with what Kubernetes says about it; nothing about those that are."""
    found = []
    for pod in pods:
        status: Json = pod.get("status") or {}
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        if conditions.get("Ready", {}).get("status") == "True" or (pod["metadata"].get("deletionTimestamp")):
            continue
        states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        reasons = [reason for one in states for reason in _container_reasons(one)]
        for kind in ("PodScheduled", "Ready"):
            one = conditions.get(kind) or {}
            if not reasons and one.get("status") == "False":
                reasons = [": ".join(part for part in (one.get("reason"), one.get("message")) if part) or "not ready"]
        found.append(f"{pod['metadata']['name']}: {'; '.join(reasons) or status.get('phase') or 'no state'}")
    return sorted(found)


def _container_reasons(status: Json) -> t.Iterator[str]:
    state: Json = status.get("state") or {}
    last: Json = (status.get("lastState") or {}).get("terminated") or {}
    for kind in ("waiting", "terminated"):
        one: Json = state.get(kind) or {}
        reason = one.get("reason") or ("" if kind == "waiting" else f"exit status {one.get('exitCode')}")
        if not one or reason in _STARTING or one.get("exitCode") == 0:
            continue
        text = f"{status['name']} {reason}"
        if last and kind == "waiting":
            text += f", last ended with {last.get('reason') or 'status'} ({last.get('exitCode')})"
        message = one.get("message")
        yield f"{text}: {' '.join(str(message).split())[:200]}" if message else text


def _wire(wire: Json, application: Json, plan: Json) -> dict[str, t.Any]:
    facts: Json = plan["facts"]
    addresses: Json = facts.get("addresses") or (
        {str(plan.get("source")): facts["address"]} if "address" in facts else {}
    )
    source = wire.get("source") or (next(iter(addresses)) if len(addresses) == 1 else None)
    address = addresses.get(str(source))
    if address is None:
        raise FailoverRefused(
            f"Nobody can tell which database {wire.get('env') or wire.get('secret')} of {application['name']} means: "
            f"{source or 'no source'} has no address after this plan.",
            hint=f"Add source to it in kubernetes.wiring. There are: {', '.join(map(str, addresses)) or 'none'}.",
        )
    value = str(wire["value"]).replace("{host}", str(address["host"])).replace("{port}", str(address["port"]))
    return {**wire, "value": value}


def _changed_containers(place: Json, containers: t.Sequence[Json]) -> list[dict[str, t.Any]]:
    changed: dict[str, list[dict[str, t.Any]]] = {}
    for wire in place["wires"]:
        if not wire.get("env"):
            continue
        for container in _containers(wire, containers, place):
            there: Json = next((one for one in container.get("env") or () if one["name"] == wire["env"]), {})
            text = _replaced(wire, there.get("value"), f"the variable {wire['env']}")
            if there.get("value") != text or there.get("valueFrom"):
                entry = {"name": wire["env"], "value": text, **({"valueFrom": None} if "valueFrom" in there else {})}
                changed.setdefault(str(container["name"]), []).append(entry)
    return [{"name": name, "env": env} for name, env in changed.items()]


def _containers(wire: Json, containers: t.Sequence[Json], place: Json) -> list[Json]:
    if wire.get("container"):
        found = [one for one in containers if one["name"] == wire["container"]]
        if not found:
            names = ", ".join(str(one["name"]) for one in containers)
            raise FailoverRefused(
                f"{place['deployment']} has no container {wire['container']}.", hint=f"It has: {names}."
            )
        return found
    with_it = [one for one in containers if any(each["name"] == wire["env"] for each in one.get("env") or ())]
    return with_it or list(containers[:1])


def _replaced(wire: Json, present: str | None, where: str) -> str:
    value = str(wire["value"])
    if not wire.get("match"):
        return value
    if present is None:
        raise FailoverRefused(
            f"{where} has no value of its own, so there is nothing in it to replace.",
            hint="Leave match out of kubernetes.wiring, and give the whole value.",
        )
    if re.search(wire["match"], present) is None:
        raise FailoverRefused(
            f"{where} has nothing that {wire['match']!r} finds.",
            hint="Look at the expression in kubernetes.wiring; the value itself is not shown, it may be a secret.",
        )
    return re.sub(wire["match"], lambda _found: value, present)


def _decoded(data: str | None, where: str) -> str | None:
    if data is None:
        return None
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise FailoverRefused(f"{where} is no text.", hint="Only text can be wired.") from error
