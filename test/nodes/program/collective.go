package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// The protocol, in lines. A follower sends "<name> <rank>" and receives "<rank> <world> <step>":
// its rank, the number of processes and the current step. Then it sends "<step> <value>" for
// each step and receives "<step> <sum>", and at last "end 0".

const (
	saveEvery = 5
	patience  = 2 * time.Minute
	retry     = 200 * time.Millisecond
)

// lossTimeout is how long a process is silent that has lost its machine.
const lossTimeout = 4 * time.Second

// watched has the kernel end a connection whose other side has lost its machine, also while
// data that was sent to it is not confirmed.
func watched(_, _ string, c syscall.RawConn) error {
	const tcpUserTimeout = 18 // of Linux
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(lossTimeout.Milliseconds()))
	})
	return errors.Join(err, failed)
}

// listening is how a leader listens; connections inherit it.
func listening() net.ListenConfig {
	return net.ListenConfig{Control: watched, KeepAliveConfig: keepAlive()}
}

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}
}

// peer is a follower as the leader sees it.
type peer struct {
	rank  int
	conn  net.Conn
	lines *bufio.Scanner
}

// hello is a follower that has connected.
type hello struct {
	peer

	name string
}

// leader is the state of the process that leads.
type leader struct {
	*diary
	task

	peers    map[int]*peer // by rank
	ranks    map[string]int
	arrivals chan hello
}

// lead runs the job's steps with the others.
func lead(ctx context.Context, d *diary, t task) error {
	_, port, err := net.SplitHostPort(t.leader)
	if err != nil {
		return fmt.Errorf("cannot read the leader's address: %w", err)
	}
	config := listening()
	l, err := config.Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	return leadOn(d, t, l)
}

func leadOn(d *diary, t task, l net.Listener) error {
	b := &leader{diary: d, task: t, peers: map[int]*peer{}, ranks: map[string]int{}, arrivals: make(chan hello)}
	go b.accept(l)
	step := d.checkpoint()
	d.note(0, "start", step)
	for step < d.steps {
		if err := b.gather(step); err != nil {
			return err
		}
		if err := b.reduce(step); err != nil {
			if d.peerExit != 0 {
				return err
			}
			continue // with the processes that come back
		}
		step++
		d.note(0, "step", step)
		if step%saveEvery == 0 || step == d.steps {
			if err := d.save(step); err != nil {
				return err
			}
		}
		d.obey()
		time.Sleep(d.pause)
	}
	for _, p := range b.peers {
		_, _ = fmt.Fprintln(p.conn, "end 0")
	}
	d.note(0, "done", step)
	time.Sleep(retry) // for processes that have just connected again
	return nil
}

// accept takes connections for as long as the process lives.
func (b *leader) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			h := hello{peer: peer{conn: conn, lines: bufio.NewScanner(conn)}}
			if h.lines.Scan() {
				if _, err := fmt.Sscan(h.lines.Text(), &h.name, &h.rank); err == nil {
					b.arrivals <- h
					return
				}
			}
			_ = conn.Close() // a check whether the port answers
		}()
	}
}

// gather waits until all have joined.
func (b *leader) gather(step int) error {
	limit := time.After(patience)
	for len(b.peers) < b.world-1 {
		select {
		case h := <-b.arrivals:
			if err := b.welcome(h, step); err != nil {
				return err
			}
		case <-limit:
			return fmt.Errorf("%d of %d processes came", len(b.peers)+1, b.world)
		case <-time.After(retry):
			b.obey()
		}
	}
	return nil
}

// welcome adds a follower, in place of the one that had its rank.
func (b *leader) welcome(h hello, step int) error {
	if h.rank < 0 {
		rank, known := b.ranks[h.name]
		if !known {
			rank = len(b.ranks) + 1
		}
		h.rank = rank
	}
	b.ranks[h.name] = h.rank
	if h.rank < 1 || h.rank >= b.world {
		return fmt.Errorf("%s has rank %d of %d", h.name, h.rank, b.world)
	}
	b.drop(h.rank)
	if _, err := fmt.Fprintln(h.conn, h.rank, b.world, step); err == nil {
		b.peers[h.rank] = &h.peer
	}
	return nil
}

func (b *leader) drop(rank int) {
	if p := b.peers[rank]; p != nil {
		_ = p.conn.Close()
		delete(b.peers, rank)
	}
}

// reduce makes one step. If a follower is lost the others do the step again.
func (b *leader) reduce(step int) error {
	sum := 1
	var lost error
	for rank, p := range b.peers {
		var at, value int
		if !p.lines.Scan() {
			b.drop(rank)
			lost = errors.Join(lost, fmt.Errorf("step %d: rank %d is lost", step, rank))
			continue
		}
		if _, err := fmt.Sscan(p.lines.Text(), &at, &value); err != nil || at != step || value != rank+1 {
			return fmt.Errorf("step %d: rank %d says %q", step, rank, p.lines.Text())
		}
		sum += value
	}
	if lost != nil {
		// Their part of this step was consumed: they begin it again.
		for rank := range b.peers {
			b.drop(rank)
		}
		return lost
	}
	if want := b.world * (b.world + 1) / 2; sum != want {
		return fmt.Errorf("step %d: the sum is %d, want %d", step, sum, want)
	}
	for _, p := range b.peers {
		_, _ = fmt.Fprintln(p.conn, step, sum) // a lost process is noticed in the next step
	}
	return nil
}

// follow takes part until the leader says that it is over.
func follow(ctx context.Context, d *diary, t task) error {
	d.note(t.rank, "start", 0)
	for {
		over, err := d.session(ctx, t)
		if over || err != nil && d.peerExit != 0 {
			return err
		}
		if err != nil {
			d.note(t.rank, "lost", 0)
		}
		d.obey()
		time.Sleep(retry)
	}
}

// session is one connection to the leader. It reports whether the job is over.
func (d *diary) session(ctx context.Context, t task) (over bool, err error) {
	conn, err := d.dial(ctx, t)
	if err != nil {
		return true, err
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	if _, err := fmt.Fprintf(conn, "%s/%d %d\n", d.host, t.rank, t.rank); err != nil {
		return false, fmt.Errorf("cannot speak to the leader: %w", err)
	}
	var rank, world, step int
	if !lines.Scan() {
		return false, errors.New("the leader is lost before the first step")
	}
	if _, err := fmt.Sscan(lines.Text(), &rank, &world, &step); err != nil {
		return true, fmt.Errorf("the leader says %q: %w", lines.Text(), err)
	}
	if world != t.world {
		return true, fmt.Errorf("the leader knows of %d processes, this one of %d", world, t.world)
	}
	for {
		d.obey()
		if _, err := fmt.Fprintln(conn, step, rank+1); err != nil {
			return false, fmt.Errorf("step %d: the leader is lost: %w", step, err)
		}
		if !lines.Scan() {
			return false, fmt.Errorf("step %d: the leader is lost", step)
		}
		if lines.Text() == "end 0" {
			d.note(rank, "done", step)
			return true, nil
		}
		var at, sum int
		if _, err := fmt.Sscan(lines.Text(), &at, &sum); err != nil || at != step || sum != world*(world+1)/2 {
			return true, fmt.Errorf("step %d: the leader says %q", step, lines.Text())
		}
		step++
		d.note(rank, "step", step)
	}
}

// dial connects to the leader, which may not have started yet.
func (d *diary) dial(ctx context.Context, t task) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 3 * time.Second, Control: watched, KeepAliveConfig: keepAlive()}
	for began := time.Now(); ; {
		conn, err := dialer.DialContext(ctx, "tcp", t.leader)
		if err == nil {
			return conn, nil
		}
		if time.Since(began) > patience {
			return nil, fmt.Errorf("cannot reach the leader: %w", err)
		}
		d.obey()
		time.Sleep(retry)
	}
}
