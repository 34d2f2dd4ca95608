//go:build unix

package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// owner is the user that the cluster belongs to; the zero owner is this process's
// user.
type owner struct {
	name       string
	credential *syscall.Credential
}

// unprivileged returns the user that a server may run as: Postgres refuses to run
// as root, so that needs another one.
func unprivileged() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return owner{}, fmt.Errorf("pgcluster: the ids of the user %s: %w", name, err)
		}
		return owner{name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return owner{}, errors.New("pgcluster: Postgres does not run as root, and there is neither a user postgres nor nobody to run it as")
}

// take gives a file to the owner.
func (o owner) take(file string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(file, int(o.credential.Uid), int(o.credential.Gid))
}

// run has a command run as the owner, in a process group of its own, so that
// Ctrl-C in a terminal reaches this process alone.
func (o owner) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential, Setpgid: true}
}

func (m Mode) signal() (os.Signal, error) {
	switch m {
	case Fast:
		return syscall.SIGINT, nil
	case Immediate:
		return syscall.SIGQUIT, nil
	default:
		return nil, fmt.Errorf("pgcluster: there is no mode %q: use Fast or Immediate", m)
	}
}
