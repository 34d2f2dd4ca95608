package pgcluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// userHZ is how many parts /proc divides a second of CPU into, on every
// architecture that Go runs on.
const userHZ = 100

// cpuOf adds up what a postmaster and its children have used. The postmaster is
// the parent of all of the server's processes and waits for each that ends, which
// adds what that one has used to an account of its own: nothing of a session that
// is over is missed. The postmaster is read last, so that a child that ends
// meanwhile is not left out; it may count twice, with what it has used since.
func cpuOf(postmaster int) (time.Duration, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("pgcluster: %w", err)
	}
	var ticks int64
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		p, err := readProcess(pid)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH): // it has ended
		case err != nil:
			return 0, err
		case p.parent == postmaster:
			ticks += p.own
		}
	}
	p, err := readProcess(postmaster)
	if err != nil {
		return 0, fmt.Errorf("pgcluster: the server has ended: %w", err)
	}
	return time.Duration(ticks+p.own+p.reaped) * time.Second / userHZ, nil
}

// process is what the kernel says of one, the times in parts of a second.
type process struct {
	parent int
	own    int64
	reaped int64 // of its children that have ended
}

func readProcess(pid int) (process, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}
	// The name of the program, in brackets, may hold anything. Behind it stand the
	// state, the parent, and as the 12th to 15th utime, stime, cutime and cstime.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return process{}, fmt.Errorf("pgcluster: what /proc says of the process %d is not understood", pid)
	}
	numbers := make([]int64, 15)
	for _, i := range []int{1, 11, 12, 13, 14} {
		if numbers[i], err = strconv.ParseInt(string(fields[i]), 10, 64); err != nil {
			return process{}, fmt.Errorf("pgcluster: what /proc says of the process %d is not understood: %w", pid, err)
		}
	}
	return process{parent: int(numbers[1]), own: numbers[11] + numbers[12], reaped: numbers[13] + numbers[14]}, nil
}
