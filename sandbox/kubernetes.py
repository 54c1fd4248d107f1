# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes control plane for tests: the genuine API server, controllers and scheduler on etcd, and a small kubelet.

The programs are built by ``tools/kubernetes.sh``. No container runs: the kubelet here says of each pod what a real one
would, ready, or that its image can't be pulled when the image's name has ``broken`` in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from .errors import StartFailed
from .ports import free_ports

Json = dict[str, t.Any]
_ADMINISTRATOR, _NOBODY = "administrator-of-tests", "nobody-of-tests"
_FINE = "application/strategic-merge-patch+json"


def built() -> Path | None:
    """The folder that tools/kubernetes.sh has filled; None: it was not."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lifeboat/kubernetes"
    folder = Path(os.environ.get("LIFEBOAT_KUBERNETES") or usual)
    return folder if (folder / "complete").is_file() else None


class Kubernetes:
    """One cluster of one node. ``kubeconfig`` has two contexts: ``dr`` may do all, ``weak`` nothing."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.directory = Path(tempfile.mkdtemp(prefix="lifeboat-kubernetes-"))
        self._running: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()
        self._kubelet = threading.Thread(target=self._watch_pods, daemon=True)
        self._port = 0

    def __enter__(self) -> t.Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    def get(self, path: str) -> Json:
        """What the API server says at *path*."""
        return self._ask("GET", path)

    def post(self, path: str, document: Json) -> Json:
        """Create an object."""
        return self._ask("POST", path, document)

    def put(self, path: str, document: Json, *, kind: str = _FINE) -> Json:
        """Patch an object."""
        return self._ask("PATCH", path, document, kind=kind)

    def delete(self, path: str) -> None:
        """Delete an object, at once; what is not there is no error."""
        with contextlib.suppress(urllib.error.HTTPError):
            self._ask("DELETE", path, {"gracePeriodSeconds": 0})

    def stop(self) -> None:
        """End all of it, and remove its folder."""
        self._stop.set()
        if self._kubelet.is_alive():
            self._kubelet.join(timeout=30)
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=15)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        clients, peers, self._port = free_ports(3)
        keys = self.directory / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", str(keys), "2048"], check=True, capture_output=True, timeout=60)
        (self.directory / "tokens.csv").write_text(
            f'{_ADMINISTRATOR},administrator,1,"system:masters"\n{_NOBODY},nobody,2\n'
        )
        self._write_kubeconfig()
        etcd = f"http://127.0.0.1:{clients}"
        self._spawn(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-cluster=default=http://127.0.0.1:{peers}",
            "--unsafe-no-fsync",
        )
        self._spawn(
            "control-plane",
            "apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self.directory / 'certificates'}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={keys}",
            f"--service-account-signing-key-file={keys}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        )
        self._wait(lambda: self._ask("GET", "/readyz", raw=True))
        shared = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0")
        self._spawn(
            "control-plane", "controllers", *shared, "--controllers=deployment-controller,replicaset-controller"
        )
        self._spawn("control-plane", "scheduler", *shared)
        self._wait(lambda: self.get("/api/v1/namespaces/default"))
        self.post("/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node1"}})
        room = {"cpu": "64", "memory": "64Gi", "pods": "500"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        status = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
        self.put("/api/v1/nodes/node1/status", status)
        self._kubelet.start()

    def _write_kubeconfig(self) -> None:
        users = {"dr": _ADMINISTRATOR, "weak": _NOBODY}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "dr",
            "clusters": [
                {
                    "name": "tests",
                    "cluster": {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True},
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": "tests", "user": name}} for name in users],
            "users": [{"name": name, "user": {"token": token}} for name, token in users.items()],
        }
        self.kubeconfig.write_text(json.dumps(document))
        self.kubeconfig.chmod(0o600)

    def _spawn(self, program: str, *words: str) -> None:
        with open(self.directory / f"{program}-{len(self._running)}.log", "wb") as log:
            self._running.append(
                subprocess.Popen([str(self._programs / program), *words], stdout=log, stderr=log, cwd=self.directory)
            )

    def _wait(self, ask: t.Callable[[], object], *, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                ask()
            except (OSError, ValueError) as error:
                ended = [one.args for one in self._running if one.poll() is not None]
                if ended or time.monotonic() > end:
                    logs = "\n".join(
                        path.read_text("utf-8", "replace")[-1500:] for path in self.directory.glob("*.log")
                    )
                    raise StartFailed(f"Kubernetes does not start ({ended or error}):\n{logs}") from error
                time.sleep(0.3)
            else:
                return

    def _ask(
        self, method: str, path: str, document: Json | None = None, *, kind: str = "application/json", raw: bool = False
    ) -> Json:
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"https://127.0.0.1:{self._port}{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Authorization": f"Bearer {_ADMINISTRATOR}", "Content-Type": kind},
        )
        with urllib.request.urlopen(request, timeout=20, context=unverified) as answer:  # noqa: S310 always https
            body = answer.read()
        found: Json = {} if raw else json.loads(body)
        return found

    def _watch_pods(self) -> None:
        while not self._stop.wait(0.3):
            with contextlib.suppress(OSError, ValueError):
                for pod in self.get("/api/v1/pods")["items"]:
                    self._care_for(pod)

    def _care_for(self, pod: Json) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if meta.get("deletionTimestamp"):
            self.delete(path)
        elif pod["spec"].get("nodeName") and not pod["status"].get("containerStatuses"):
            images = {one["name"]: one["image"] for one in pod["spec"]["containers"]}
            good = not any("broken" in image for image in images.values())
            waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
            state = {"running": {"startedAt": "2026-11-21T02:00:00Z"}} if good else {"waiting": waiting}
            statuses = [
                {"name": name, "image": image, "imageID": image, "ready": good, "restartCount": 0, "state": state}
                for name, image in images.items()
            ]
            conditions = [{"type": "Ready", "status": str(good), "lastTransitionTime": "2026-11-21T02:00:00Z"}]
            phase = "Running" if good else "Pending"
            status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
            self.put(f"{path}/status", {"status": status})
