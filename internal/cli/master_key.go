package cli

import (
	"os"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

// masterKeyCommands are about the key that the database's secrets are encrypted
// with.
type masterKeyCommands struct {
	Rotate masterKeyRotate `cmd:"" help:"Encrypt all secrets in the database with a new master key."`
}

type masterKeyRotate struct {
	Database   string `default:"sqlite:grapevine.db" placeholder:"URL" help:"The database, as 'serve' is told it: sqlite: and a file's path, or postgres://…"`
	NewKeyFile string `env:"-" placeholder:"FILE" help:"A file with the new key, for its owner alone: 64 hexadecimal digits, or 32 bytes in base64."`
	JSON       bool   `name:"json" env:"-" help:"Write JSON."`
}

// Help says where the keys come from.
func (masterKeyRotate) Help() string {
	return "The server must be stopped, with Postgres all nodes. The present key is read as 'serve' reads it: from " + config.MasterKeyVariable + ", or from the file beside the database. " +
		"The new one comes from " + config.NewMasterKeyVariable + " or --new-key-file; where the present one is in the file beside the database, a new one is made unless it is given, and takes its place there. " +
		"With Postgres both come from you. All is changed or nothing, also if the command is killed. Backups that were made before need the old key."
}

// rotatedShown is what the command shows in the end.
type rotatedShown struct {
	Database string `json:"database"`
	KeyFile  string `json:"key_file,omitempty"`
	OldKey   string `json:"old_key_file,omitempty"`
}

// Run encrypts anew.
func (c *masterKeyRotate) Run(e *env) error {
	var secrets config.Server
	secrets.ReadSecrets()
	done, err := app.RotateMasterKey(e.ctx, app.KeyRotation{
		Database: c.Database, MasterKey: secrets.MasterKey, NewKey: os.Getenv(config.NewMasterKeyVariable), NewKeyFile: c.NewKeyFile,
	})
	if err != nil {
		return err
	}
	shown := rotatedShown{Database: config.Redacted(c.Database), KeyFile: done.File, OldKey: done.Kept}
	if c.JSON {
		return e.document(shown)
	}
	s := newSheet(e.out)
	s.field("database", shown.Database)
	s.field("key file", shown.KeyFile)
	s.field("old key", shown.OldKey)
	e.note("\nAll secrets in the database are encrypted with the new key.")
	if done.File == "" {
		e.note("Start the server, with Postgres every node, with the new key as %s: none starts with the old one.", config.MasterKeyVariable)
	} else {
		e.note("Keep a copy of the new key. Move the old one to where you keep the keys of your backups.")
	}
	e.note("Backups that were made before need the old key.")
	return nil
}
