package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// usage is what a process has used.
type usage struct {
	// cpu is in seconds.
	cpu float64
	// rss and peak are the resident memory now and at most, in MiB.
	rss, peak float64
}

// usageOf reads /proc. Without it, or without the process, everything is 0.
func usageOf(pid int) usage {
	if pid == 0 {
		return usage{}
	}
	var u usage
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		// After the command in parentheses; see proc(5), fields 14 and 15.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		const ticks = 100 // a second
		for _, field := range []int{14, 15} {
			n, _ := strconv.ParseFloat(fields[field-3], 64)
			u.cpu += n / ticks
		}
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		u.rss, u.peak = mebibytes(status, "VmRSS:"), mebibytes(status, "VmHWM:")
	}
	return u
}

// mebibytes finds a line "name n kB".
func mebibytes(status []byte, name string) float64 {
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// load is the load average of the last minute: how many processes were runnable.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// machine describes the computer in a line.
func machine() string {
	cpu, memory := runtime.GOARCH, ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				cpu = strings.TrimSpace(value)
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		memory = fmt.Sprintf(", %.0f GiB", mebibytes(text, "MemTotal:")/1024)
	}
	return fmt.Sprintf("%d x %s%s, %s", runtime.NumCPU(), cpu, memory, runtime.GOOS)
}
