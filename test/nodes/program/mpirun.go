package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// mpirun does what Open MPI's does with the files of an MPIJob's launcher: it starts a
// process for each slot of the host file by means of the rsh agent, which is "kubectl
// exec", and fails when one of them does.
func mpirun(ctx context.Context, d *diary) error {
	hosts, err := slots(os.Getenv("OMPI_MCA_orte_default_hostfile"))
	if err != nil {
		return err
	}
	config := listening()
	l, err := config.Listen(ctx, "tcp", ":0")
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, d.host)
	if err != nil {
		return fmt.Errorf("cannot find the launcher's address: %w", err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it listens on TCP
	t := task{leads: true, world: len(hosts) + 1, leader: net.JoinHostPort(addresses[0], port)}
	ended := make(chan error, len(hosts)+1)
	for i, host := range hosts {
		agent := exec.CommandContext(ctx, os.Getenv("OMPI_MCA_plm_rsh_agent"), host,
			"/bin/program", "rank", strconv.Itoa(i+1), strconv.Itoa(t.world), t.leader)
		agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
		if err := agent.Start(); err != nil {
			return fmt.Errorf("cannot start a process on %s: %w", host, err)
		}
		go func() {
			if err := agent.Wait(); err != nil {
				ended <- fmt.Errorf("the process on %s: %w", host, err)
				return
			}
			ended <- nil
		}()
	}
	go func() { ended <- leadOn(d, t, l) }()
	for range len(hosts) + 1 {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// slots lists the hosts of a host file, each as often as it has slots.
func slots(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the host file: %w", err)
	}
	defer f.Close()
	var hosts []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		host, count, ok := strings.Cut(lines.Text(), " slots=")
		n, err := strconv.Atoi(count)
		if !ok || err != nil {
			return nil, fmt.Errorf("cannot read the line %q of the host file", lines.Text())
		}
		for range n {
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("the host file is empty")
	}
	return hosts, nil
}
