//go:build unix

package netguard

import (
	"net"
	"syscall"
)

// socket looks at an idle connection without waiting. It is for one goroutine
// at a time.
type socket struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool
	buf   [1]byte
	quiet bool
}

// newSocket returns nil for a connection that has no file descriptor.
func newSocket(c net.Conn) *socket {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.look = func(fd uintptr) bool {
		_, err := syscall.Read(int(fd), s.buf[:])
		s.quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // don't wait
	}
	return s
}

// isQuiet reports whether nothing has come in: no byte, no error and no end. It
// takes a byte that has, so a connection that is not quiet can't be used.
func (s *socket) isQuiet() bool {
	if s == nil {
		return true // what can't be looked at shows when it is used
	}
	s.quiet = false
	return s.raw.Read(s.look) == nil && s.quiet
}
