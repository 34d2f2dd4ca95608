package pgcluster

import "os/exec"

// janitor is the shell's program. It does its work when its input ends; the
// argument is the cluster's folder. A postmaster that nobody waits for may stay
// as a zombie, so patience has an end.
const janitor = `
cat >/dev/null
if read -r pid <"$1/data/postmaster.pid"; then
	kill -QUIT "$pid"
	patience=100
	while kill -0 "$pid" && [ "$patience" -gt 0 ]; do
		sleep 0.1
		patience=$((patience - 1))
	done
fi
rm -rf "$1"
`

// hireJanitor starts the janitor. Its input is a pipe whose other end no other
// process has: programs that this one starts don't inherit it.
func (c *Cluster) hireJanitor() error {
	cmd := exec.Command("/bin/sh", "-c", janitor, "janitor", c.folder) //nolint:gosec,noctx // a folder of our own; it has to outlive every context
	owner{}.run(cmd)                                                   // as this process's user, who may remove the folder wherever it is
	cmd.Dir = "/"                                                      // whichever this process has, it shall not be in use longer
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.janitor, c.lifeline = cmd, lifeline
	return nil
}
