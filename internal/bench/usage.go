package bench

import (
	"context"
	"time"
)

// reading is what a process has used up to now.
type reading struct {
	cpu     time.Duration
	memory  int64 // bytes, now
	peak    int64 // bytes, the most
	written int64 // bytes to disk; zero: that can't be read
}

// usage is what a part of a scenario has used, or what everything has used up to
// a moment.
type usage struct {
	server, load, receiver time.Duration // of CPU; server: of all nodes
	database               databaseUsage
	disk                   int64 // bytes that the database takes then, whatever it took before
	written                int64 // bytes to disk, by the servers
	commits                float64
	machine                time.Duration // of CPU, whoever used it; zero: that can't be read
	wall                   time.Duration
}

// since is what was used after an earlier moment.
func (u usage) since(then usage) usage {
	return usage{
		server: u.server - then.server, load: u.load - then.load, receiver: u.receiver - then.receiver,
		database: databaseUsage{u.database.cpu - then.database.cpu, u.database.log - then.database.log}, disk: u.disk,
		written: u.written - then.written, commits: u.commits - then.commits,
		machine: u.machine - then.machine, wall: u.wall - then.wall,
	}
}

// plus is what two parts have used together.
func (u usage) plus(other usage) usage {
	return usage{
		server: u.server + other.server, load: u.load + other.load, receiver: u.receiver + other.receiver,
		database: databaseUsage{u.database.cpu + other.database.cpu, u.database.log + other.database.log}, disk: max(u.disk, other.disk),
		written: u.written + other.written, commits: u.commits + other.commits,
		machine: u.machine + other.machine, wall: u.wall + other.wall,
	}
}

// ours is the CPU that the processes have used that take part.
func (u usage) ours() time.Duration { return u.server + u.load + u.receiver + u.database.cpu }

// others is how many cores were busy with something else.
func (u usage) others() float64 {
	return max((u.machine-u.ours()).Seconds(), 0) / max(u.wall.Seconds(), 0.001)
}

// used returns what everything has used up to now.
func (r *rig) used(ctx context.Context) (usage, error) {
	state, err := r.receiver.state(ctx)
	if err != nil {
		return usage{}, err
	}
	u := usage{load: ownCPU(), receiver: state.CPU, machine: machineCPU(), wall: time.Since(r.made)}
	if u.database, err = r.database.used(ctx); err != nil {
		return usage{}, err
	}
	if u.disk, err = r.database.onDisk(ctx); err != nil {
		return usage{}, err
	}
	for _, s := range r.nodes {
		if err := s.addTo(ctx, &u); err != nil {
			return usage{}, err
		}
	}
	return u, nil
}

// addTo adds what the server has used up to now.
func (s *server) addTo(ctx context.Context, u *usage) error {
	u.server += s.spent
	u.written += s.written
	u.commits += s.commits
	if s.cmd == nil {
		return nil
	}
	commits, err := s.counter(ctx, commitCounter)
	if err != nil {
		return err
	}
	now, err := read(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	u.server += now.cpu
	u.written += now.written
	u.commits += commits
	return nil
}
