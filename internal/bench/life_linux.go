package bench

import (
	"os/exec"
	"syscall"
)

// bindLife makes the child end with this process, even if that is killed, and
// keeps Ctrl-C from it: the bench ends its children itself. To be exact, a child
// ends with the thread that started it; the runtime keeps its threads.
func bindLife(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
