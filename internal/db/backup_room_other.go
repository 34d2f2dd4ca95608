//go:build !linux && !darwin && !freebsd

package db

import "context"

// checkRoom lets every copy begin: how much room there is can't be asked here.
func (*DB) checkRoom(context.Context, string) error { return nil }
