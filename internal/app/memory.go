package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is how much garbage may pile up before it is collected, in bytes. A
// server under load makes a hundred megabytes of it a second and has few that
// live. At Go's default, which collects whenever the heap has doubled, it would
// do that many times a second.
const headroom = 32 << 20

// TuneMemory gives the system back what the start took, and has the garbage
// collector wait, from now on, until the heap has doubled or has grown by 32 MiB,
// whichever is later. It is for a process that is a server and nothing else, and
// leaves the collector of one alone whose operator has set GOGC to something else
// than its default.
func TuneMemory() {
	debug.FreeOSMemory()
	if set := debug.SetGCPercent(100); set != 100 {
		debug.SetGCPercent(set)
		return
	}
	// What nothing refers to is finalized after each collection: then the live
	// part of the heap is known anew.
	type beacon struct{ _ *byte }
	var collected func(*beacon)
	collected = func(b *beacon) {
		debug.SetGCPercent(percentFor(liveHeap()))
		runtime.SetFinalizer(b, collected)
	}
	collected(new(beacon))
}

// percentFor returns the GOGC that gives so many live bytes their headroom.
func percentFor(live uint64) int {
	const most = 1600 // at 2 MiB; a heap that is smaller has the same
	return int(min(max(headroom*100/max(live, 1), 100), most))
}

func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
