#!/usr/bin/env bash
# Moves this module, and that of the kubelet in test/nodes, to another Kubernetes release:
# rewrites go.mod and go.sum.
#
#   hack/set-kubernetes.sh v1.38.0 [kwok version]
#
# Kubernetes is not a library: its go.mod requires its own parts (the "staging"
# modules, k8s.io/api and so on) at v0.0.0 and replaces them by folders that the
# published module lacks. So each is required and replaced here by the version
# that is published with the release, v0.38.0 for v1.38.0. etcd and Go follow what
# that release uses. Only the Go module proxy is asked, only for exact versions.
#
# Afterwards: go test ./..., the integration tests of internal/devenv, make test-nodes,
# and the version that README.md names.
set -euo pipefail

kubernetes=${1:?usage: $0 kubernetes-version [kwok-version], for example v1.38.0}
cd "$(dirname "$0")/.."
export GOWORK=off GOFLAGS=-mod=mod
kwok=${2:-$(go list -m -f '{{.Version}}' sigs.k8s.io/kwok)}
staging="v0.${kubernetes#v1.}"

# From an empty module, so that nothing of the old versions has a say.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
go mod init scratch >/dev/null 2>&1
upstream=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^\t"GoMod": "\(.*\)",\?$/\1/p')
etcd=$(sed -n 's#^\tgo.etcd.io/etcd/client/v3 \(v[^ ]*\).*#\1#p' "$upstream")
parts=$(sed -n 's#^\t\(k8s.io/[a-z0-9-]*\) => ./staging/.*#\1#p' "$upstream")

requires="k8s.io/kubernetes $kubernetes
go.etcd.io/etcd/server/v3 $etcd
sigs.k8s.io/kwok $kwok"
replaces="" excludes=""
for part in $parts; do
  if go mod download "$part@$staging" >/dev/null 2>&1; then
    requires+=$'\n'"$part $staging"
    replaces+="$part => $part $staging"$'\n'
  else
    # Not published with this release, and nothing here imports it.
    echo "left out: $part $staging cannot be downloaded" >&2
    excludes+="$part v0.0.0"$'\n'
  fi
done

cd - >/dev/null

# module writes go.mod and go.sum of a module: folder, module path, its own lines.
module() {
  cat >"$1/go.mod" <<MOD
// Written by devcluster/hack/set-kubernetes.sh $kubernetes $kwok
module $2

$(grep '^go ' "$upstream")

// The runtime's defaults are those that Kubernetes is tested with.
$(grep '^godebug ' "$upstream" || true)

$3

replace (
$replaces)
MOD
  if [ -n "$excludes" ]; then
    printf '\nexclude (\n%s)\n' "$excludes" >>"$1/go.mod"
  fi
  rm -f "$1/go.sum"
  go -C "$1" mod tidy
}

module . github.com/jobkit/jobkit/devcluster "require (
$requires
)"
# What test/nodes builds of Kubernetes. A module of its own, so that the dev control plane
# does not have to download what only a kubelet needs.
module ../test/nodes/kubernetes github.com/jobkit/jobkit/test/nodes/kubernetes "tool (
k8s.io/kubernetes/cmd/kubectl
k8s.io/kubernetes/cmd/kubelet
)

require (
k8s.io/kubernetes $kubernetes
)"
echo "Kubernetes $kubernetes, etcd $etcd, kwok $kwok"
