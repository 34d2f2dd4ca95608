// Grapevine runs referral programs, waitlists, loyalty programs and partner
// programs, and tells other systems what happens in them by webhooks that do
// not get lost.
package main

import (
	"os"

	"github.com/grapevine-hq/grapevine/internal/cli"
)

var version = "dev" // set when the program is built

func main() {
	os.Exit(cli.Run(os.Args[1:], version, os.Stdout, os.Stderr))
}
