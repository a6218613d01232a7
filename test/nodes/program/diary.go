package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// diary is what a process reports to the test, and what the test orders.
type diary struct {
	settings

	host string
	exit func(int)
}

// note writes an event. What cannot be written is missed by the test.
func (d *diary) note(rank int, word string, number int) {
	line := fmt.Sprintf("%d %d %s %d\n", time.Now().UnixMilli(), rank, word, number)
	_, _ = os.Stdout.WriteString(line)
	f, err := os.OpenFile(filepath.Join(d.dir, d.host+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(line)
	_ = f.Close()
}

// obey does what the test orders, once.
func (d *diary) obey() {
	file := filepath.Join(d.dir, d.host+".command")
	text, err := os.ReadFile(file)
	if err != nil || os.Remove(file) != nil {
		return
	}
	command, argument, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	switch command {
	case "exit":
		code, _ := strconv.Atoi(argument)
		_ = os.WriteFile("/dev/termination-log", []byte("asked to"), 0o600)
		d.exit(code)
	case "crash":
		panic("asked to")
	case "hang":
		for {
			time.Sleep(time.Hour)
		}
	}
}

// checkpoint is the step at which the job continues.
func (d *diary) checkpoint() int {
	text, err := os.ReadFile(filepath.Join(d.dir, "checkpoint"))
	if err != nil {
		return 0
	}
	step, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return step
}

// save writes a checkpoint, whole or not at all.
func (d *diary) save(step int) error {
	file := filepath.Join(d.dir, "checkpoint")
	if err := os.WriteFile(file+".tmp", []byte(strconv.Itoa(step)), 0o600); err != nil {
		return fmt.Errorf("cannot write a checkpoint: %w", err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		return fmt.Errorf("cannot write a checkpoint: %w", err)
	}
	return nil
}
