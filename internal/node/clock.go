package node

import "time"

// reading is what the database's clock said, between two moments of this process.
type reading struct {
	began, ended time.Time
	server       time.Time
}

// clock follows the database's clock by this process's monotonic one. Before its
// first reading it knows nothing.
type clock struct{ last reading }

// now is what the database's clock should say.
func (c *clock) now() time.Time { return c.last.server.Add(time.Since(c.last.ended)) }

// when is when the database's clock should say t.
func (c *clock) when(t time.Time) time.Time { return c.last.ended.Add(t.Sub(c.last.server)) }

// leapt reports whether the database's clock is ahead of where it should be by more
// than tolerance: it was set, or this machine slept.
func (c *clock) leapt(r reading, tolerance time.Duration) bool {
	return !c.last.server.IsZero() && r.server.Sub(c.last.server) > r.ended.Sub(c.last.began)+tolerance
}
