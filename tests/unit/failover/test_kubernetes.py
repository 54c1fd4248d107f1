# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is set on a cluster, once and no more; how far a rollout is; and why a pod is not ready."""

from __future__ import annotations

import base64
import copy
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import FailoverRefused
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.failover.kubernetes import (
    MARK,
    deployment_patch,
    manifests,
    place_of,
    pod_reasons,
    refused_rights,
    rights_of,
    rollout,
    secret_patches,
)

Json = dict[str, t.Any]
PLAN: t.Final[Json] = {
    "sha256": "0123456789abcdef" * 4,
    "source": "",
    "facts": {"addresses": {"main": {"host": "db2", "port": 5433}, "cache": {"host": "redis2", "port": 6379}}},
}
TARGET: t.Final[Json] = {
    "service": "shop",
    "to": "south",
    "surroundings": {
        "regions": [
            {"name": "north", "role": "primary"},
            {"name": "south", "role": "standby", "kubernetes_context": "dr"},
        ]
    },
}
HOST: t.Final = {"env": "DATABASE_HOST", "value": "{host}:{port}", "source": "main"}
URL: t.Final = {
    "secret": "database",
    "key": "url",
    "value": "@{host}:{port}",
    "match": "@[^/]+",
    "source": "main",
}


def place(*wiring: Json, run: str = "run-0001", **more: t.Any) -> Json:
    application = {"name": "api", "kubernetes": {"deployment": "shop-api", "wiring": list(wiring), **more}}
    return place_of(application, TARGET, PLAN, run=run)


def deployment(*containers: Json, annotations: Json | None = None, **spec: t.Any) -> Json:
    return {
        "metadata": {"name": "shop-api", "namespace": "default", "generation": 3},
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"annotations": annotations or {}},
                "spec": {"containers": list(containers) or [{"name": "api", "image": "api:1"}]},
            },
            **spec,
        },
    }


def secret(**values: str) -> Json:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": "database"}, "data": data}


def test_the_cluster_is_that_of_the_region_or_the_application_s_own() -> None:
    assert place()["context"] == "dr"
    assert place(context="other", timeout="90s", namespace="shop")["context"] == "other"
    assert (place(timeout="90s")["seconds"], place()["seconds"], place()["namespace"]) == (90, 300, "default")
    with pytest.raises(FailoverRefused, match="on which cluster"):
        place_of({"name": "api", "region": "north", "kubernetes": {"deployment": "x"}}, TARGET, PLAN)
    with pytest.raises(FailoverRefused, match="on which cluster"):
        place_of({"name": "api", "kubernetes": {"context": "x"}}, TARGET, PLAN)


def test_a_wire_says_where_its_own_database_is_now() -> None:
    assert place(HOST)["wires"][0]["value"] == "db2:5433"
    assert place({**HOST, "source": "cache"})["wires"][0]["value"] == "redis2:6379"
    with pytest.raises(FailoverRefused, match="Nobody can tell which database"):
        place({"env": "DATABASE_HOST", "value": "{host}"})
    with pytest.raises(FailoverRefused, match="gone has no address"):
        place({**HOST, "source": "gone"})
    one = {**PLAN, "source": "main", "facts": {"address": {"host": "db3", "port": 1}}}
    application = {"name": "api", "kubernetes": {"deployment": "d", "wiring": [{"env": "A", "value": "{host}"}]}}
    assert place_of(application, TARGET, one)["wires"][0]["value"] == "db3"


def test_only_what_differs_is_patched_and_then_nothing() -> None:
    there = deployment(
        {"name": "api", "image": "api:1", "env": [{"name": "DATABASE_HOST", "value": "db1:5432"}, {"name": "X"}]},
        {"name": "side", "image": "side:1"},
    )
    wired = place(HOST, replicas=3)
    patch = deployment_patch(wired, there)
    assert patch == {
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"annotations": {MARK: "run-0001-0123456789ab"}},
                "spec": {
                    "containers": [{"name": "api", "env": [{"name": "DATABASE_HOST", "value": "db2:5433"}]}],
                },
            },
        }
    }
    there["spec"]["replicas"] = 3
    there["spec"]["template"]["metadata"]["annotations"] = {MARK: "run-0001-0123456789ab"}
    there["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "db2:5433"
    assert deployment_patch(wired, there) == {}
    assert deployment_patch(place(HOST, run="run-0002"), there) != {}, "another failover restarts it"


def test_a_variable_that_came_from_elsewhere_gets_a_value_of_its_own() -> None:
    elsewhere = {"name": "DATABASE_HOST", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}
    there = deployment({"name": "api", "env": [elsewhere]})
    (container,) = deployment_patch(place(HOST), there)["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "DATABASE_HOST", "value": "db2:5433", "valueFrom": None}]


def test_in_which_containers_a_variable_is_set() -> None:
    def changed(wire: Json, *containers: Json) -> list[str]:
        patch = deployment_patch(place(wire), deployment(*containers))["spec"]["template"]
        return [one["name"] for one in patch.get("spec", {}).get("containers", ())]

    own = {"env": [{"name": "DATABASE_HOST", "value": "db1"}]}
    assert changed(HOST, {"name": "a"}, {"name": "b"}) == ["a"]
    assert changed(HOST, {"name": "a"}, {"name": "b", **own}, {"name": "c", **own}) == ["b", "c"]
    assert changed({**HOST, "container": "a"}, {"name": "a"}, {"name": "b", **own}) == ["a"]
    with pytest.raises(FailoverRefused, match="no container x"):
        changed({**HOST, "container": "x"}, {"name": "a"})


def test_a_password_in_an_address_stays() -> None:
    present = secret(url="postgresql://app:s3cret@db1:5432/shop", other="x")
    (patch,) = secret_patches(place(URL), [present])
    assert patch["name"] == "database"
    assert list(patch["data"]) == ["url"], "what is not changed is not written"
    assert base64.b64decode(patch["data"]["url"]) == b"postgresql://app:s3cret@db2:5433/shop"
    assert secret_patches(place(URL), [secret(url="postgresql://app:s3cret@db2:5433/shop")]) == []


def test_a_replacement_is_taken_as_it_is() -> None:
    odd = {**PLAN, "facts": {"addresses": {"main": {"host": r"\1\g<0>", "port": 1}}}}
    application = {"name": "api", "kubernetes": {"deployment": "d", "wiring": [URL]}}
    (patch,) = secret_patches(place_of(application, TARGET, odd), [secret(url="a@b/c")])
    assert base64.b64decode(patch["data"]["url"]) == rb"a@\1\g<0>:1/c"


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        ([], "no Secret database"),
        ([secret(other="x")], "no value of its own"),
        ([secret(url="nothing to find, s3cret")], "has nothing that"),
        ([{"metadata": {"name": "database"}, "data": {"url": "/w=="}}], "is no text"),
        ([{"metadata": {"name": "database"}, "data": {"url": "%"}}], "is no text"),
    ],
)
def test_what_can_not_be_replaced_is_refused_without_its_value(secrets: list[Json], reason: str) -> None:
    with pytest.raises(FailoverRefused, match=reason) as raised:
        secret_patches(place(URL), secrets)
    assert "s3cret" not in str(raised.value)


def test_a_key_without_match_is_written_whole_also_where_it_was_not() -> None:
    wire = {"secret": "database", "key": "host", "value": "{host}", "source": "main"}
    (patch,) = secret_patches(place(wire), [secret(url="x")])
    assert patch["data"] == {"host": base64.b64encode(b"db2").decode()}


def test_manifests_are_right_at_once_so_that_applying_them_takes_nothing_back() -> None:
    own = deployment({"name": "api", "env": [{"name": "DATABASE_HOST", "valueFrom": {}}, {"name": "X", "value": "1"}]})
    own["kind"] = "Deployment"
    other = {**copy.deepcopy(own), "metadata": {"name": "worker"}}
    service = {"kind": "Service", "metadata": {"name": "shop-api"}}
    wired = place(HOST, replicas=5)
    applied = manifests(wired, [service, None, own, other])
    assert (applied[0], applied[2]) == (service, other)
    assert applied[1]["spec"]["template"]["spec"]["containers"][0]["env"] == [
        {"name": "X", "value": "1"},
        {"name": "DATABASE_HOST", "value": "db2:5433"},
    ]
    assert deployment_patch(wired, applied[1]) == {}
    assert own["spec"]["replicas"] == 2, "what came in was changed"
    bare = {"kind": "Deployment", "metadata": {"name": "shop-api"}, "spec": {"template": {"spec": {"containers": []}}}}
    assert manifests(place(), [bare])[0]["spec"]["template"]["metadata"]["annotations"] == {MARK: wired["mark"]}


def test_rights_are_asked_for_what_is_done_and_nothing_else() -> None:
    asked = [(one["verb"], one["resource"], one.get("name")) for one in rights_of(place(HOST, URL))]
    assert asked == [
        ("get", "deployments", "shop-api"),
        ("patch", "deployments", "shop-api"),
        ("list", "pods", None),
        ("get", "secrets", "database"),
        ("patch", "secrets", "database"),
    ]
    assert "create" in [one["verb"] for one in rights_of(place(manifests=["/a.yml"]))]
    answers = [
        {"spec": {"resourceAttributes": one}, "status": {"allowed": one["verb"] == "get"}} for one in rights_of(place())
    ]
    assert refused_rights(answers) == [
        "may not patch deployments shop-api in default",
        "may not list pods in default",
    ]
    assert refused_rights([{"spec": answers[0]["spec"]}]) != [], "no answer is no right"


FINISHED: t.Final = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({**FINISHED, "observedGeneration": 2}, "have not seen the change"),
        ({}, "have not seen the change"),
        ({**FINISHED, "updatedReplicas": 1}, "1 of 2 pods are new"),
        ({**FINISHED, "replicas": 3}, "1 old ones are left"),
        ({**FINISHED, "availableReplicas": 1}, "1 are available"),
        ({**FINISHED, "availableReplicas": None}, "0 are available"),
    ],
)
def test_a_rollout_is_done_when_all_pods_are_new_and_available(status: Json, text: str) -> None:
    there = deployment(annotations={MARK: place()["mark"]})
    assert rollout({**there, "status": FINISHED}, place()) == {
        "done": True,
        "failed": False,
        "text": "2 of 2 pods are new, 2 are available, 0 old ones are left",
    }
    found = rollout({**there, "status": status}, place())
    assert (found["done"], found["failed"]) == (False, False)
    assert text in found["text"]


def test_a_rollout_of_somebody_else_is_not_ours_and_one_that_was_given_up_ends_the_wait() -> None:
    assert not rollout({**deployment(), "status": FINISHED}, place())["done"]
    given_up = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    found = rollout({**deployment(), "status": {**FINISHED, "conditions": [given_up]}}, place())
    assert found["failed"]
    before = rollout({**deployment(), "status": {"observedGeneration": 2, "conditions": [given_up]}}, place())
    assert not before["failed"], "that was about what was there before"


def pod(name: str, *, ready: str = "False", deleted: bool = False, **status: t.Any) -> Json:
    conditions = status.pop("conditions", [{"type": "Ready", "status": ready}])
    meta: Json = {"name": name, **({"deletionTimestamp": "now"} if deleted else {})}
    return {"metadata": meta, "status": {"conditions": conditions, **status}}


def test_each_pod_that_is_not_ready_says_why() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off\n pulling"}}
    crashed = {
        "name": "api",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }
    nowhere = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]
    unready = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [api]"}]
    pods = [
        pod("well", ready="True"),
        pod("going", deleted=True),
        pod("image", containerStatuses=[{"name": "api", "state": waiting}]),
        pod("memory", containerStatuses=[crashed]),
        pod("nowhere", conditions=nowhere),
        pod("probe", conditions=unready, containerStatuses=[{"name": "api", "state": {"running": {}}}]),
        pod("ended", containerStatuses=[{"name": "api", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]),
        pod("first", initContainerStatuses=[{"name": "init", "state": waiting}]),
        pod("begins", containerStatuses=[{"name": "api", "state": {"waiting": {"reason": "ContainerCreating"}}}]),
        pod("silent", conditions=[], phase="Pending"),
    ]
    assert pod_reasons(pods) == [
        "begins: not ready",
        "ended: api Error",
        "first: init ImagePullBackOff: Back-off pulling",
        "image: api ImagePullBackOff: Back-off pulling",
        "memory: api CrashLoopBackOff, last ended with OOMKilled (137)",
        "nowhere: Unschedulable: 0/3 nodes",
        "probe: ContainersNotReady: unready: [api]",
        "silent: Pending",
    ]
