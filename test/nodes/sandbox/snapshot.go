//go:build linux

package sandbox

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Snapshot is what could be left behind on a machine: each thing by its name, with its
// state.
type Snapshot map[string]string

// Take records the state of the machine.
func Take() Snapshot {
	s := Snapshot{}
	s.sysctls()
	s.mounts()
	s.network()
	s.groups()
	s.files()
	s.processes()
	return s
}

// Changes lists what differs from an earlier snapshot, a line each.
func (s Snapshot) Changes(before Snapshot) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		old, known := before[name]
		switch {
		case !known:
			lines = append(lines, "new: "+name+" "+s[name])
		case old != s[name]:
			lines = append(lines, fmt.Sprintf("changed: %s from %q to %q", name, old, s[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, known := s[name]; !known {
			lines = append(lines, "gone: "+name)
		}
	}
	return lines
}

func (s Snapshot) sysctls() {
	names := []string{
		"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/all/rp_filter",
		"net/ipv6/conf/all/forwarding", "net/bridge/bridge-nf-call-iptables", "net/netfilter/nf_conntrack_max",
		"fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "kernel/pid_max",
	}
	for _, name := range slices.AppendSeq(names, maps.Keys(sysctls())) {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			s["sysctl "+name] = strings.TrimSpace(string(value))
		}
	}
}

func (s Snapshot) mounts() {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		const mountPoint = 4
		if fields := strings.Fields(line); len(fields) > mountPoint {
			s["mount "+fields[mountPoint]] += strings.Join(fields[mountPoint+1:], " ") + ";"
		}
	}
}

func (s Snapshot) network() {
	links, err := net.Interfaces()
	if err != nil {
		return
	}
	for _, link := range links {
		addresses, _ := link.Addrs()
		s["interface "+link.Name] = fmt.Sprint(addresses)
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err == nil {
		s["routes"] = string(routes)
	}
}

// groups are those at the top of each hierarchy. What systemd makes changes at any time.
func (s Snapshot) groups() {
	s["control group controllers"] = strings.Join(delegatedControllers(), " ")
	for _, root := range hierarchies() {
		entries, _ := os.ReadDir(root)
		for _, e := range entries {
			switch filepath.Ext(e.Name()) {
			case ".slice", ".scope", ".service", ".mount":
				continue
			}
			if e.IsDir() {
				s["control group "+filepath.Join(root, e.Name())] = ""
			}
		}
	}
}

// files are those at the paths that are fixed in the programs.
func (s Snapshot) files() {
	for _, dir := range []string{
		"/run", "/run/netns", "/run/containerd", "/run/containerd/runc", "/run/containerd/s",
		"/var/lib", "/var/lib/cni", "/var/lib/cni/results",
		"/var/lib/kubelet", "/var/lib/containerd", "/var/log", "/var/log/pods", "/var/log/containers",
		"/etc/cni", "/etc/cni/net.d", "/etc/kubernetes",
		"/opt", "/opt/cni", "/usr/libexec/kubernetes", "/usr/libexec/kubernetes/kubelet-plugins",
	} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			s["file "+filepath.Join(dir, e.Name())] = ""
		}
	}
}

// processes are those of any sandbox. (The others of the machine come and go.)
func (s Snapshot) processes() {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err == nil && bytes.Contains(env, []byte(idEnv+"="+namePrefix)) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			s["process "+filepath.Base(filepath.Dir(file))] = string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		}
	}
}
