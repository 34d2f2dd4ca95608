package cli

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

type restoreCommand struct {
	File     string `arg:"" help:"The backup."`
	Database string `default:"sqlite:grapevine.db" placeholder:"URL" help:"The database to put in place, as 'serve' is told it: sqlite: and a file's path."`
	Force    bool   `env:"-" help:"Replace a database that is there. It is kept under another name."`
	JSON     bool   `name:"json" env:"-" help:"Write JSON."`
}

// Help says what a restore needs.
func (restoreCommand) Help() string {
	return "The server must be stopped. Every page of the backup is checked, and that the master key beside the database, or in " + config.MasterKeyVariable +
		", fits it, before anything is changed. The next start sends the deliveries that were pending when the backup was made."
}

// restoreShown is what the command shows in the end.
type restoreShown struct {
	Database string  `json:"database"`
	SHA256   string  `json:"sha256"`
	Took     float64 `json:"took_seconds"`
	backupContents
	Due        int    `json:"due_deliveries"`
	Kept       string `json:"kept,omitempty"`
	MissingKey string `json:"missing_key,omitempty"`
}

// Run puts the copy in place.
func (c *restoreCommand) Run(e *env) error {
	var secrets config.Server
	secrets.ReadSecrets()
	started := time.Now()
	done, err := c.restore(e, secrets.MasterKey)
	if err != nil {
		return err
	}
	shown := restoreShown{
		Database: c.Database, SHA256: done.SHA256, Took: time.Since(started).Seconds(), backupContents: contentsShown(done.Contents),
		Due: done.Due, Kept: done.Kept, MissingKey: done.MissingKey,
	}
	if c.JSON {
		return e.document(shown)
	}
	shown.show(e)
	return nil
}

func (c *restoreCommand) restore(e *env, masterKey string) (app.Restored, error) {
	line := newProgress(e.err)
	defer line.clear()
	copied, stop := &meter{line: line, text: "Copying"}, func() {}
	defer func() { stop() }()
	return app.Restore(e.ctx, app.Restoring{
		From: c.File, Database: c.Database, MasterKey: masterKey, Replace: c.Force,
		Progress: func(done, total int64) {
			copied.total = total
			copied.set(done)
			if done == total {
				stop = line.await("Checking the copy")
			}
		},
	})
}

func (r restoreShown) show(e *env) {
	s := newSheet(e.out)
	s.field("database", r.Database)
	s.field("sha-256", r.SHA256)
	s.field("took", span(time.Duration(r.Took*float64(time.Second))))
	r.backupContents.show(s)
	s.field("kept", r.Kept)
	e.note("\nEvery page was checked, and the backup is in place.")
	if r.Kept != "" {
		e.note("The database that was there is kept as %s: remove it once you don't need it.", r.Kept)
	}
	if r.Pending > 0 {
		e.note("The next start sends %d of the pending deliveries at once. What was delivered after the backup was made arrives a second time, with the same ids.", r.Due)
	}
	e.note("What was accepted after the backup was made is not in it.")
	if r.MissingKey != "" {
		e.note("\nThe master key is missing. Before you start the server, put the one of this backup into %s, or into %s.", r.MissingKey, config.MasterKeyVariable)
	}
}
