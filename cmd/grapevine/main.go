// Grapevine accepts events and delivers them as signed webhooks that don't get
// lost.
package main

import (
	"os"

	"github.com/grapevine-hq/grapevine/internal/cli"
)

var version = "dev" // set when the program is built

func main() {
	os.Exit(cli.Run(os.Args[1:], version, os.Stdout, os.Stderr))
}
