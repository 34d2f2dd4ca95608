package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

type backupCommand struct {
	File  string `arg:"" help:"Where to write the copy; - for the standard output."`
	Force bool   `help:"Replace the file if it is there."`
	JSON  bool   `name:"json" help:"Write JSON."`
	connection
}

// Help says what a backup is.
func (backupCommand) Help() string {
	return "The copy is an SQLite file with all that was accepted before. The server goes on meanwhile, and needs as much room again beside its database while it makes the copy. " +
		"What arrives is compared with its digest, and every page of it is checked. The master key is not in it: keep that elsewhere. A Postgres database has tools of its own, such as pg_dump."
}

// Run writes the copy to a file of another name first, which gets its own once
// it is checked and on the disk.
func (c *backupCommand) Run(e *env) error {
	api, err := c.operator(e)
	if err != nil {
		return err
	}
	if c.File == "-" {
		return c.stream(e, api)
	}
	if err := c.checkPlace(); err != nil {
		return err
	}
	started, part := time.Now(), c.File+".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there: another backup is writing it, or was killed\nRemove it if none is running", part)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("the folder of %s does not exist: make it first", c.File)
	}
	if err != nil {
		return err
	}
	shown, err := receive(e, api, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	shown.backupContents, err = check(e, part)
	if errors.Is(err, context.Canceled) {
		return errors.Join(err, os.Remove(part))
	}
	if err != nil {
		return fmt.Errorf("the copy arrived as the server made it, and is not whole: %w\nThe server's database may be damaged. The copy is kept as %s", err, part)
	}
	if err := c.name(part); err != nil {
		return fmt.Errorf("%w\nThe copy is whole and kept as %s", err, part)
	}
	shown.File, shown.Took = c.File, time.Since(started).Seconds()
	return c.show(e, shown)
}

// stream writes the copy to the standard output, where it can't be checked.
func (c *backupCommand) stream(e *env, api *client.Client) error {
	if c.JSON {
		return usagef("--json needs a FILE: the standard output has the copy")
	}
	if isTerminal(e.out) {
		return usagef("the copy is binary: name a FILE, or send the output to one")
	}
	shown, err := receive(e, api, e.out)
	if err != nil {
		return fmt.Errorf("%w\nWhat was written is no backup", err)
	}
	e.note("%s, SHA-256 %s, as the server sent it. Its pages are not checked; 'grapevine restore' does that.", size(shown.Bytes), shown.SHA256)
	e.note("%s", keepTheKey)
	return nil
}

func (c *backupCommand) checkPlace() error {
	there, err := os.Lstat(c.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !there.Mode().IsRegular():
		return usagef("%s is not a regular file", c.File)
	case !c.Force:
		return usagef("%s is there already: name another file, or replace it with --force", c.File)
	}
	return c.checkNoDatabase()
}

// checkNoDatabase refuses to put the copy into the place of a database that a
// server has used: it would go on with a file that has no name any more, and all
// that it accepts would be lost with its end.
func (c *backupCommand) checkNoDatabase() error {
	for _, suffix := range []string{".lock", "-wal"} {
		switch _, err := os.Lstat(c.File + suffix); {
		case err == nil:
			return usagef("%s is the database of a server, since there is %s: name another file", c.File, c.File+suffix)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// name gives the copy its name.
func (c *backupCommand) name(part string) error {
	if err := c.checkPlace(); err != nil { // it may have taken long
		return err
	}
	if err := os.Rename(part, c.File); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(c.File))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// backupContents is what a copy holds, as the commands show it.
type backupContents struct {
	SchemaVersion int       `json:"schema_version"`
	Tenants       int       `json:"tenants"`
	Subscriptions int       `json:"subscriptions"`
	Events        int       `json:"events"`
	Pending       int       `json:"pending_deliveries"`
	Newest        time.Time `json:"newest_event_at,omitzero"`
}

// backupShown is what the command shows in the end.
type backupShown struct {
	File   string  `json:"file"`
	Bytes  int64   `json:"bytes"`
	SHA256 string  `json:"sha256"`
	Took   float64 `json:"took_seconds"`
	backupContents
}

const keepTheKey = "The master key is not in it, and without that key its secrets can't be read: keep a copy of the file that ends in .key beside the server's database, or of " +
	config.MasterKeyVariable + ", in another place."

func (c *backupCommand) show(e *env, b backupShown) error {
	if c.JSON {
		return e.document(b)
	}
	s := newSheet(e.out)
	s.field("backup", b.File)
	s.field("size", size(b.Bytes))
	s.field("sha-256", b.SHA256)
	s.field("took", span(time.Duration(b.Took*float64(time.Second))))
	b.show(s)
	e.note("\nIt arrived unchanged, and every page was checked. %s", keepTheKey)
	return nil
}

func (b backupContents) show(s sheet) {
	s.field("schema", fmt.Sprint("version ", b.SchemaVersion))
	s.field("tenants", fmt.Sprint(b.Tenants))
	s.field("subscriptions", fmt.Sprint(b.Subscriptions))
	s.field("events", fmt.Sprint(b.Events))
	s.field("pending", fmt.Sprint(b.Pending))
	s.field("newest event", when(b.Newest))
}

func contentsShown(c app.Contents) backupContents {
	return backupContents{
		SchemaVersion: c.SchemaVersion, Tenants: c.Tenants, Subscriptions: c.Subscriptions,
		Events: c.Events, Pending: c.Pending, Newest: c.Newest,
	}
}

// receive writes the server's copy to w.
func receive(e *env, api *client.Client, w io.Writer) (backupShown, error) {
	line := newProgress(e.err)
	defer line.clear()
	stop := line.await("The server makes the copy")
	backup, err := api.Backup(e.ctx)
	stop()
	if err != nil {
		return backupShown{}, err
	}
	defer backup.Close()
	counted := &meter{line: line, text: "Receiving", total: backup.Size}
	if _, err := io.Copy(io.MultiWriter(w, counted), backup); err != nil {
		return backupShown{}, err
	}
	return backupShown{Bytes: backup.Size, SHA256: backup.SHA256}, nil
}

func check(e *env, path string) (backupContents, error) {
	line := newProgress(e.err)
	defer line.clear()
	defer line.await("Checking the copy")()
	contents, err := app.CheckBackup(e.ctx, path)
	return contentsShown(contents), err
}

// await shows how long something takes that says nothing of itself, until the
// function that it returns is called.
func (p progress) await(text string) func() {
	if p.w == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		started, second := time.Now(), time.NewTicker(time.Second)
		defer second.Stop()
		for {
			p.show("%s … %s", text, span(time.Since(started).Truncate(time.Second)))
			select {
			case <-second.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// meter shows how much is written, ten times a second at most.
type meter struct {
	line        progress
	text        string
	done, total int64
	shown       time.Time
}

// Write counts what is written.
func (m *meter) Write(b []byte) (int, error) {
	m.set(m.done + int64(len(b)))
	return len(b), nil
}

func (m *meter) set(done int64) {
	m.done = done
	if time.Since(m.shown) < 100*time.Millisecond {
		return
	}
	m.shown = time.Now()
	m.line.show("%s … %s of %s", m.text, size(m.done), size(m.total))
}

// size shows a number of bytes as a person would say it.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
