# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``playbooks/tasks/failover/kubernetes.yml`` against a genuine API server, its controllers and its scheduler."""

from __future__ import annotations

import base64
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import typing as t

import pytest
import yaml

from sandbox.kubernetes import Kubernetes, built

ROOT = pathlib.Path(__file__).parents[2]
Json = dict[str, t.Any]
PLAN: t.Final[Json] = {
    "sha256": "0123456789abcdef" * 4,
    "source": "",
    "facts": {"addresses": {"main": {"host": "db2", "port": 5433}}},
}
DEPLOYMENTS, PODS, SECRETS = (
    "/apis/apps/v1/namespaces/default/deployments",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/secrets",
)
URL = "postgresql://app:s3cret-of-tests@db1:5432/shop"


def deployment(*, image: str = "api:1", replicas: int = 2) -> Json:
    container = {"name": "api", "image": image, "env": [{"name": "DATABASE_HOST", "value": "db1:5432"}]}
    labels = {"app": "shop-api"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop-api", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


class Health(http.server.BaseHTTPRequestHandler):
    """Answers that all is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_words: t.Any) -> None:
        pass


class Site(t.NamedTuple):
    """An empty namespace, and plays that take the step there."""

    cluster: Kubernetes
    directory: pathlib.Path
    health: str

    def take(
        self, *words: str, context: str = "dr", application: Json | None = None, **variables: t.Any
    ) -> tuple[Json, str]:
        """The step's result (empty: it failed), and all that was printed."""
        kubernetes: Json = {
            "deployment": "shop-api",
            "context": context,
            "kubeconfig": str(self.cluster.kubeconfig),
            "replicas": 3,
            "timeout": "60s",
            "wiring": [
                {"env": "DATABASE_HOST", "value": "{host}:{port}"},
                {"secret": "database", "key": "url", "value": "@{host}:{port}", "match": "@[^/]+"},
            ],
            **(application or {}),
        }
        given = {
            "lifeboat_step": {"name": "deploy-api", "options": {"application": "api"}},
            "lifeboat_plan": PLAN,
            "lifeboat_target": {
                "service": "shop",
                "applications": [
                    {
                        "name": "api",
                        "unit": None,
                        "host": "localhost",
                        "health": {"url": self.health, "status": 200, "timeout": 5, "command": None},
                        "kubernetes": kubernetes,
                    }
                ],
            },
            "lifeboat_ledger": {"run": "run-0001"},
            "lifeboat_health_wait": 10,
            "ansible_python_interpreter": sys.executable,
            **variables,
        }
        result, variables_file = self.directory / "result.json", self.directory / "given.json"
        result.unlink(missing_ok=True)
        variables_file.write_text(json.dumps(given))
        keep = {"content": "{{ lifeboat_result | to_json }}", "dest": str(result), "mode": "0600"}
        tasks = [
            {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/failover/kubernetes.yml")},
            {"ansible.builtin.copy": keep, "delegate_to": "localhost", "check_mode": False},
        ]
        playbook = self.directory / "play.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        programs = built()
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.collections'}:{programs}/collections",
            "PYTHONPATH": f"{programs}/python",
        }
        program = pathlib.Path(sys.executable).parent / "ansible-playbook"
        done = subprocess.run(
            [
                str(program),
                "-i",
                "localhost,",
                "-c",
                "local",
                "--diff",
                "-e",
                f"@{variables_file}",
                *words,
                str(playbook),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        found: Json = json.loads(result.read_text()) if result.exists() else {}
        assert bool(found) is (done.returncode == 0), done.stdout
        assert "s3cret-of-tests" not in done.stdout
        return found, done.stdout

    def live(self) -> Json:
        return self.cluster.get(f"{DEPLOYMENTS}/shop-api")

    def url(self) -> str:
        return base64.b64decode(self.cluster.get(f"{SECRETS}/database")["data"]["url"]).decode()

    def environment(self) -> Json:
        (container,) = self.live()["spec"]["template"]["spec"]["containers"]
        return {one["name"]: one.get("value") for one in container["env"]}


@pytest.fixture
def site(cluster: Kubernetes, tmp_path: pathlib.Path) -> t.Iterator[Site]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    cluster.post(
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "database"},
            "stringData": {"url": URL, "other": "stays"},
        },
    )
    try:
        yield Site(cluster=cluster, directory=tmp_path, health=f"http://127.0.0.1:{server.server_port}/")
    finally:
        cluster.delete(f"{DEPLOYMENTS}/shop-api")
        cluster.delete(f"{SECRETS}/database")
        # No garbage collector runs here.
        for kind in ("/apis/apps/v1/namespaces/default/replicasets", PODS):
            for one in cluster.get(kind)["items"]:
                cluster.delete(f"{kind}/{one['metadata']['name']}")
        server.shutdown()
        server.server_close()
        thread.join(timeout=30)


def test_it_takes_over_once_and_a_drill_changes_nothing(site: Site) -> None:
    site.cluster.post(DEPLOYMENTS, deployment())
    before = site.live()["metadata"]["generation"]

    drill, said = site.take(lifeboat_drill=True)
    assert drill["rehearsed"]
    assert drill["changed"] == {"secrets": ["database"], "manifests": [], "deployment": True}, said
    checked, _said = site.take("--check")
    assert checked["rehearsed"]
    assert site.live()["metadata"]["generation"] == before, "a dry run was none"
    assert site.url() == URL

    taken, said = site.take()
    assert taken["changed"] == {"secrets": ["database"], "manifests": [], "deployment": True}, said
    assert taken["rollout"] == "3 of 3 pods are new, 3 are available, 0 old ones are left"
    assert site.url() == "postgresql://app:s3cret-of-tests@db2:5433/shop"
    assert site.environment() == {"DATABASE_HOST": "db2:5433"}
    assert site.live()["status"]["availableReplicas"] == 3
    generation = site.live()["metadata"]["generation"]

    again, said = site.take()
    assert again["changed"] == {"secrets": [], "manifests": [], "deployment": False}, said
    assert site.live()["metadata"]["generation"] == generation, "it was restarted a second time"


def test_manifests_are_applied_with_the_new_address_and_nothing_comes_twice(site: Site) -> None:
    file = site.directory / "api.yml"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"color": "blue"}}
    file.write_text(yaml.safe_dump_all([config, deployment(replicas=1)]))
    drill, said = site.take(application={"manifests": [str(file)]}, lifeboat_drill=True)
    assert drill["changed"]["manifests"] == [str(file)], said
    assert site.cluster.get(DEPLOYMENTS)["items"] == []
    taken, said = site.take(application={"manifests": [str(file)]})
    assert taken["changed"] == {"secrets": ["database"], "manifests": [str(file)], "deployment": False}, said
    assert site.environment() == {"DATABASE_HOST": "db2:5433"}
    assert site.live()["spec"]["replicas"] == 3
    again, said = site.take(application={"manifests": [str(file)]})
    assert again["changed"] == {"secrets": [], "manifests": [], "deployment": False}, said
    site.cluster.delete("/api/v1/namespaces/default/configmaps/shop")


def test_what_can_not_be_is_told_before_anything_is_changed(site: Site) -> None:
    nothing, said = site.take()
    assert nothing == {}
    assert "dr has no deployment shop-api in default. Deploy it there" in said
    site.cluster.post(DEPLOYMENTS, deployment())
    weak, said = site.take(context="weak")
    assert weak == {}
    assert "The account of weak may not get deployments shop-api in default; it may not patch deployments" in said
    gone, said = site.take(context="gone")
    assert gone == {}
    assert "The cluster gone does not answer by" in said
    assert site.environment() == {"DATABASE_HOST": "db1:5432"}


def test_a_rollout_that_does_not_end_names_what_each_pod_says(site: Site) -> None:
    site.cluster.post(DEPLOYMENTS, deployment(image="broken:1"))
    failed, said = site.take(application={"timeout": "9s"})
    assert failed == {}
    assert "The rollout of shop-api on dr is not done after 9 s" in said
    assert "api ImagePullBackOff: Back-off pulling image" in said
    # Mended, the same step ends well, and what was set is not set again.
    containers = [{"name": "api", "image": "api:2"}]
    site.cluster.put(f"{DEPLOYMENTS}/shop-api", {"spec": {"template": {"spec": {"containers": containers}}}})
    mended, said = site.take()
    assert mended["changed"] == {"secrets": [], "manifests": [], "deployment": False}, said


def test_one_that_is_not_well_afterwards_fails_the_step(site: Site) -> None:
    site.cluster.post(DEPLOYMENTS, deployment())
    unwell, said = site._replace(health="http://127.0.0.1:9/").take(lifeboat_health_wait=2)
    assert unwell == {}
    assert "api on localhost is not well" in said
