package db

import (
	"io/fs"
	"time"
)

// WithBusyTimeout sets how long a transaction waits for another process.
func (o Options) WithBusyTimeout(d time.Duration) Options {
	o.busyTimeout = d
	return o
}

// WithMigrations replaces the program's own migrations.
func (o Options) WithMigrations(files fs.FS) Options {
	o.migrations = files
	return o
}
