package bench

import (
	"os"
	"testing"
	"time"
)

func TestAProcessIsReadAsItSeesItself(t *testing.T) {
	before := ownCPU()
	r, err := read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const tick = time.Second / ticks
	if r.cpu < before-2*tick || r.cpu > ownCPU()+2*tick {
		t.Errorf("it has used %s of CPU, and by its own count %s", r.cpu, before)
	}
	if r.memory <= 0 || r.peak < r.memory {
		t.Errorf("it has %d bytes of memory, and had %d at most", r.memory, r.peak)
	}
	if _, err := read(-1); err == nil {
		t.Error("a process that does not exist can be read")
	}
}

func TestAMountIsFoundByTheFolderOnIt(t *testing.T) {
	if got := fileSystem("/proc/self"); got != "proc" {
		t.Errorf("/proc/self is on %q", got)
	}
}
