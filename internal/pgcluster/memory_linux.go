package pgcluster

import "syscall"

// Files in memory make a new database in a tenth of the time. Containers have a
// few megabytes there unless they are given more.
const (
	memory     = "/dev/shm"
	memoryRoom = 1 << 30 // bytes that have to be free
)

// memoryFolder returns the folder of a file system in memory, or "" where there is
// none, or no room in it.
func memoryFolder() string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(memory, &s); err != nil || s.Bavail*uint64(s.Bsize) < memoryRoom { //nolint:gosec // a block's size is not negative
		return ""
	}
	return memory
}
