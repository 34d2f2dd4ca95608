package bench

import (
	"context"
	"time"
)

// idle starts a server on a new database and leaves it alone.
func (b *bench) idle(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: "idle"}
	ready, err := r.server.start(ctx)
	if err != nil {
		return nil, err
	}
	result.figure("ready_after", milliseconds(ready), "ms")
	disk, err := r.database.onDisk(ctx)
	if err != nil {
		return nil, err
	}
	result.figure("disk", float64(disk), "bytes")
	if !b.opts.Postgres {
		result.below("ready on a new database", milliseconds(ready), 300, "ms")
	}
	if !measured {
		return []*Result{result}, nil
	}
	pid := r.server.cmd.Process.Pid
	r.show("leaving the server alone")
	sleep(ctx, b.shareTime(3*time.Second))
	before, err := read(pid)
	if err != nil {
		return nil, err
	}
	watched := b.shareTime(10 * time.Second)
	sleep(ctx, watched)
	after, err := read(pid)
	if err != nil {
		return nil, err
	}
	cpu := 100 * (after.cpu - before.cpu).Seconds() / watched.Seconds()
	result.figure("server_memory", megabytes(after.memory), "MB")
	result.figure("server_memory_most", megabytes(after.peak), "MB")
	result.figure("server_cpu", cpu, "% of a core")
	if !b.opts.Postgres {
		result.below("memory", megabytes(after.memory), 40, "MB")
		result.below("CPU", cpu, 0.2, "% of a core")
	}
	return []*Result{result}, ctx.Err()
}
