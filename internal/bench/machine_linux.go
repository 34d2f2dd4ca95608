package bench

import (
	"os"
	"path/filepath"
	"strings"
)

// look fills in what the kernel says of the machine.
func (m *Machine) look(dir string) {
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = valueOf(string(text), "model name")
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = labelled(text, "MemTotal:") << 10
	}
	m.FileSystem = fileSystem(dir)
}

// valueOf returns what stands behind the colon in the first line with a name.
func valueOf(text, name string) string {
	for line := range strings.Lines(text) {
		if label, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(label) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem returns the type of the file system that a folder is on: that of
// the innermost mount, the last one where several have one place.
func fileSystem(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	kind, longest := "", -1
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // device, place, type …
		if len(fields) < 3 || len(fields[1]) < longest {
			continue
		}
		if place := strings.TrimSuffix(fields[1], "/"); strings.HasPrefix(dir+"/", place+"/") {
			kind, longest = fields[2], len(fields[1])
		}
	}
	return kind
}
