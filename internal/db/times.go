package db

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// Micro returns t as it is stored.
func Micro(t time.Time) int64 { return t.UnixMicro() }

// FromMicro returns the time that was stored, in UTC.
func FromMicro(us int64) time.Time { return time.UnixMicro(us).UTC() }

// NullMicro stores a time that may be missing: the zero time as NULL.
type NullMicro struct{ time.Time }

// Scan reads a stored time or NULL.
func (n *NullMicro) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		n.Time = time.Time{}
	case int64:
		n.Time = FromMicro(v)
	default:
		return fmt.Errorf("db: cannot read %T as a time", src)
	}
	return nil
}

// Value is what is stored: microseconds, or NULL for the zero time.
func (n NullMicro) Value() (driver.Value, error) {
	if n.IsZero() {
		return nil, nil
	}
	return Micro(n.Time), nil
}
