//go:build linux

package nodes

// containerdConfig: what begins with $ is replaced. Scores of the OOM killer are not changed,
// because not every root may lower them, and no AppArmor profile is loaded, because it would
// stay.
const containerdConfig = `version = 2
root = "$DIR/containerd/root"
state = "$DIR/containerd/state"
oom_score = 0
[grpc]
  address = "$DIR/containerd.sock"
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "$PAUSE"
    restrict_oom_score_adj = true
    disable_apparmor = true
    stream_server_address = "127.0.0.1"
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "$PLUGINS"
      conf_dir = "$DIR/cni"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "overlayfs"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          SystemdCgroup = false
  [plugins."io.containerd.internal.v1.opt"]
    path = "$DIR/containerd/opt"
`

// cniConfig: pods are on a bridge in the node's network namespace, and the node routes.
const cniConfig = `{"cniVersion": "1.0.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$DIR/addresses"}}]}
`

// kubeletConfig: every client may do everything; only the sandbox reaches the kubelet.
// Leases are renewed every second. Features that need a disk are switched off: the node has
// none.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ADDRESS
healthzPort: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$DIR/containerd.sock
podLogsDir: $DIR/logs
volumePluginDir: $DIR/plugins
cgroupRoot: $GROUP
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
oomScoreAdj: 0
maxOpenFiles: 20000
registerWithTaints: []
resolvConf: $DIR/resolv.conf
clusterDomain: cluster.local
clusterDNS: [$DNS]
makeIPTablesUtilChains: false
enforceNodeAllocatable: []
evictionHard: {nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", memory.available: "0%"}
imageGCHighThresholdPercent: 100
nodeLeaseDurationSeconds: 4
nodeStatusUpdateFrequency: 2s
`

// dnsConfig has places for the address, for what the cache does not do, and for the
// kubeconfig.
const dnsConfig = `.:53 {
	bind %s
	errors
	log
	cache 30 {
		%s
	}
	kubernetes cluster.local {
		kubeconfig %s
		ttl 30
	}
}
`
