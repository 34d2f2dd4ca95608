package bench

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// Machine is what a run was made on. What could not be found out is empty.
type Machine struct {
	Cores      int     `json:"cores"` // that the process may use
	CPU        string  `json:"cpu"`
	Memory     int64   `json:"memory_bytes"`
	Kernel     string  `json:"kernel"`
	FileSystem string  `json:"file_system"` // that the databases are on
	Flush      float64 `json:"flush_ms"`    // what writing 4 KiB and flushing them to that disk takes, the median
	Go         string  `json:"go"`
	Version    string  `json:"version"`            // of Grapevine
	Postgres   string  `json:"postgres,omitempty"` // its version, where that is the database
}

// lookAround describes this machine and the disk that dir is on.
func lookAround(dir, version string) (Machine, error) {
	m := Machine{Cores: runtime.GOMAXPROCS(0), Kernel: runtime.GOOS, Go: runtime.Version(), Version: version}
	m.look(dir)
	flush, err := flushTime(dir)
	m.Flush = milliseconds(flush)
	return m, err
}

// flushTime measures the disk, since what a flush costs there says how to read
// the other figures.
func flushTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "grapevine-bench-")
	if err != nil {
		return 0, fmt.Errorf("bench: %w (choose a folder with --dir)", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4096)
	took := make(latencies, 0, 101)
	for range cap(took) {
		begun := time.Now()
		_, err := f.Write(page)
		if err := errors.Join(err, f.Sync()); err != nil {
			return 0, fmt.Errorf("bench: write to the disk of %s: %w", dir, err)
		}
		took = append(took, time.Since(begun))
	}
	return took.percentile(50), nil
}

// writeText describes the machine in a few lines.
func (m Machine) writeText(w io.Writer) {
	known := func(text string) string { return cmp.Or(text, "-") }
	fmt.Fprintf(w, "grapevine %s, %s, %s\n", m.Version, m.Go, known(m.Kernel))
	fmt.Fprintf(w, "%d cores of %s, %s GB of memory; databases on %s, where a flush takes %s ms\n",
		m.Cores, known(m.CPU), number(float64(m.Memory)/1e9), known(m.FileSystem), number(m.Flush))
	if m.Postgres != "" {
		fmt.Fprintf(w, "Postgres %s on the same machine, durable as it is by default\n", m.Postgres)
	}
}
