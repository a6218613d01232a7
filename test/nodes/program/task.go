package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// task is the part of a process in its job.
type task struct {
	// leads: the others connect to this process.
	leads bool
	// rank of the process, 0 for the leader; -1 if the leader has to assign one.
	rank int
	// world is how many processes there are.
	world int
	// leader is the address at which the leader is reached.
	leader string
}

// taskOf reads the environment that the job's kind makes.
func taskOf(getenv func(string) string) (task, error) {
	switch {
	case getenv("TF_CONFIG") != "":
		return tensorflow(getenv("TF_CONFIG"))
	case getenv("PADDLE_MASTER") != "":
		return paddle(getenv("PADDLE_MASTER"), getenv("POD_IP_DUMMY"), getenv("PADDLE_NNODES"))
	case getenv("COORDINATOR_ADDRESS") != "":
		return ranked(getenv("PROCESS_ID"), getenv("NUM_PROCESSES"), getenv("COORDINATOR_ADDRESS"), getenv("COORDINATOR_PORT"))
	case getenv("MASTER_ADDR") != "":
		return ranked(getenv("RANK"), getenv("WORLD_SIZE"), getenv("MASTER_ADDR"), getenv("MASTER_PORT"))
	}
	return task{}, errors.New("the environment is that of no kind")
}

// ranked is PyTorch's, XGBoost's and JAX's way.
func ranked(rank, world, host, port string) (task, error) {
	r, err := strconv.Atoi(rank)
	if err != nil {
		return task{}, fmt.Errorf("cannot read the rank: %w", err)
	}
	w, err := strconv.Atoi(world)
	if err != nil {
		return task{}, fmt.Errorf("cannot read the number of processes: %w", err)
	}
	return task{leads: r == 0, rank: r, world: w, leader: net.JoinHostPort(host, port)}, nil
}

// paddle: the process with the leader's address is the leader, and it assigns the ranks.
func paddle(leader, own, world string) (task, error) {
	rank := -1
	if own != "" && strings.HasPrefix(leader, own+":") {
		rank = 0
	}
	w, err := strconv.Atoi(world)
	if err != nil {
		return task{}, fmt.Errorf("cannot read the number of processes: %w", err)
	}
	return task{leads: rank == 0, rank: rank, world: w, leader: leader}, nil
}

// tensorflow: a list of addresses a type. The first Chief, Master or Worker leads.
func tensorflow(config string) (task, error) {
	var c struct {
		Cluster map[string][]string `json:"cluster"`
		Task    struct {
			Type  string `json:"type"`
			Index int    `json:"index"`
		} `json:"task"`
	}
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return task{}, fmt.Errorf("cannot read TF_CONFIG: %w", err)
	}
	t := task{rank: -1}
	for _, kind := range []string{"chief", "master", "worker", "ps"} {
		addresses := c.Cluster[kind]
		if t.leader == "" && len(addresses) > 0 {
			t.leader = addresses[0]
		}
		if kind == c.Task.Type {
			t.rank = t.world + c.Task.Index
		}
		t.world += len(addresses)
	}
	if t.rank < 0 || t.rank >= t.world {
		return task{}, fmt.Errorf("TF_CONFIG has no task %s %d", c.Task.Type, c.Task.Index)
	}
	t.leads = t.rank == 0
	return t, nil
}

// taskOfArguments reads what mpirun gives a process: rank, number of processes, leader.
func taskOfArguments(args []string) (task, error) {
	host, port, err := net.SplitHostPort(args[2])
	if err != nil {
		return task{}, fmt.Errorf("cannot read the leader's address: %w", err)
	}
	return ranked(args[0], args[1], host, port)
}
