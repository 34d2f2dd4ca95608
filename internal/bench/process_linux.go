package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// measured says whether other processes can be measured while they run.
const measured = true

// ticks is how many parts /proc divides a second of CPU into: USER_HZ, which is
// 100 on every architecture that Go runs on.
const ticks = 100

// read asks the kernel about a process.
func read(pid int) (reading, error) {
	folder := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return reading{}, err
	}
	// The name of the program, in brackets, may hold anything. The state is the
	// first field behind it; utime and stime are the 12th and 13th.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return reading{}, fmt.Errorf("bench: %sstat is not understood", folder)
	}
	var r reading
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return reading{}, fmt.Errorf("bench: %sstat is not understood", folder)
		}
		r.cpu += time.Duration(n) * time.Second / ticks
	}
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return reading{}, err
	}
	r.memory, r.peak = labelled(status, "VmRSS:")<<10, labelled(status, "VmHWM:")<<10
	if r.memory == 0 || r.peak == 0 { // or a bar for memory would be passed by what is not known
		return reading{}, fmt.Errorf("bench: %sstatus says nothing of memory", folder)
	}
	if io, err := os.ReadFile(folder + "io"); err == nil {
		r.written = labelled(io, "write_bytes:")
	}
	return r, nil
}

// labelled returns the number behind a label in a text of such lines; zero if
// there is none.
func labelled(text []byte, label string) int64 {
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, label); found {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n
		}
	}
	return 0
}

// machineCPU is the CPU time that all processes have used, and what the host has
// taken for itself.
func machineCPU() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	first, _, _ := bytes.Cut(text, []byte{'\n'})
	fields := bytes.Fields(first) // cpu user nice system idle iowait irq softirq steal …
	if len(fields) < 9 {
		return 0
	}
	var sum int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}
