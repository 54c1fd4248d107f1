#!/usr/bin/env bash
# Builds a genuine Kubernetes control plane for the tests marked `kubernetes`, once, outside of the checkout:
#
#   tools/kubernetes.sh            into ~/.cache/lifeboat/kubernetes, or where LIFEBOAT_KUBERNETES says; nothing when it is there
#
# There: `control-plane` (kube-apiserver, kube-controller-manager and kube-scheduler in one program, from Go's modules; 12 minutes of
# a processor), `etcd` (Debian's etcd-server, unpacked and not installed), `python` (the client library) and `collections`
# (kubernetes.core, as the PyPI package ansible has it). 600 MB with what Go downloads. sandbox/kubernetes.py starts them.

set -euo pipefail

readonly kubernetes=v1.34.1 staging=v0.34.1 ansible=12.3.0 client=37.0.2
readonly python=${LIFEBOAT_PYTHON:-$(cd "$(dirname "$0")/.." && pwd)/.venv/bin/python}
readonly folder=${LIFEBOAT_KUBERNETES:-${XDG_CACHE_HOME:-$HOME/.cache}/lifeboat/kubernetes}

if [[ -f $folder/complete ]]; then
    echo "kubernetes: $folder is complete" >&2
    exit 0
fi
mkdir -p "$folder/source"
cd "$folder"

control_plane() {
    cd source
    cat >main.go <<'GO'
// The programs of a Kubernetes control plane in one, for tests.
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "which: apiserver, controllers or scheduler")
		os.Exit(2)
	}
	which := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	switch which {
	case "apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "controllers":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	}
	os.Exit(2)
}
GO
    rm -f go.mod go.sum
    go mod init lifeboat.test/kubernetes
    # Its staging modules have no versions of their own in its go.mod.
    local modules module
    modules=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    while read -r module; do
        go mod edit -replace "$module=$module@$staging"
    done < <(sed -n 's#^[[:space:]]*\(k8s.io/[^ ]*\) => ./staging/.*#\1#p' "$modules")
    go mod edit -require "k8s.io/kubernetes@$kubernetes"
    go mod tidy
    go build -trimpath -ldflags '-s -w' -o ../control-plane .
}

etcd() {
    rm -rf etcd-package
    mkdir etcd-package
    cd etcd-package
    apt-get download -q etcd-server
    dpkg -x etcd-server_*.deb .
    cp usr/bin/etcd ../etcd
}

libraries() {
    "$python" -m pip install --quiet --target python "kubernetes==$client"
    "$python" -m pip download --quiet --no-deps --dest wheels "ansible==$ansible"
    "$python" - <<'PYTHON'
import glob
import zipfile

with zipfile.ZipFile(glob.glob("wheels/ansible-*.whl")[0]) as wheel:
    wheel.extractall("collections", [one for one in wheel.namelist() if one.startswith("ansible_collections/kubernetes/core/")])
PYTHON
}

[[ -x control-plane ]] || (control_plane)
[[ -x etcd ]] || (etcd)
[[ -d collections/ansible_collections/kubernetes/core ]] || libraries
rm -rf etcd-package wheels source
touch complete
echo "kubernetes: $folder is complete" >&2
