//go:build !unix

package netguard

import "net"

// socket can't look at an idle connection here: it shows when it is used.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) isQuiet() bool { return true }
