package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/grapevine-hq/grapevine/internal/pgcluster"
)

// database is where the servers of a scenario store everything. It is new with
// the scenario.
type database interface {
	// settings are a server's, as variables of its environment: a URL may hold a
	// password, and everybody on a machine sees its command lines.
	settings() []string
	// onDisk is how many bytes it takes, beyond what it took when it was empty.
	onDisk(ctx context.Context) (int64, error)
	// used is what the database's own processes have used up to now; nothing where
	// it has none.
	used(ctx context.Context) (databaseUsage, error)
	// remove removes it once its servers have ended.
	remove(ctx context.Context) error
}

// databaseUsage is what the processes of a database have used.
type databaseUsage struct {
	cpu time.Duration
	log int64 // bytes written into the write-ahead log
}

// sqliteFile is a database of SQLite, by the path of its file.
type sqliteFile string

func (f sqliteFile) settings() []string { return []string{"GRAPEVINE_DATABASE=sqlite:" + string(f)} }

// onDisk counts the log too.
func (f sqliteFile) onDisk(context.Context) (int64, error) {
	var bytes int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(string(f) + suffix); err == nil {
			bytes += info.Size()
		}
	}
	return bytes, nil
}

func (sqliteFile) used(context.Context) (databaseUsage, error) { return databaseUsage{}, nil }

// remove has nothing to do: the file goes with its folder.
func (sqliteFile) remove(context.Context) error { return nil }

// postgresDatabase is a database of the cluster that the run has to itself.
type postgresDatabase struct {
	cluster   *pgcluster.Cluster
	name      string
	masterKey string
	empty     int64 // bytes that it took when it was new

	spent time.Duration // CPU of the server up to its last restart
}

// newPostgresDatabase makes an empty database.
func newPostgresDatabase(ctx context.Context, cluster *pgcluster.Cluster, name string) (*postgresDatabase, error) {
	if err := cluster.Create(ctx, name); err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	d := &postgresDatabase{cluster: cluster, name: name, masterKey: fmt.Sprintf("%x", key)}
	var err error
	d.empty, err = cluster.Size(ctx, name)
	return d, err
}

func (d *postgresDatabase) settings() []string {
	return []string{"GRAPEVINE_DATABASE=" + d.cluster.URL(d.name), "GRAPEVINE_MASTER_KEY=" + d.masterKey}
}

// onDisk does not count the log, which all databases of a cluster share and which
// the server uses again.
func (d *postgresDatabase) onDisk(ctx context.Context) (int64, error) {
	bytes, err := d.cluster.Size(ctx, d.name)
	return bytes - d.empty, err
}

func (d *postgresDatabase) used(ctx context.Context) (databaseUsage, error) {
	cpu, err := d.cluster.CPU()
	if err != nil {
		return databaseUsage{}, err
	}
	log, err := d.cluster.WAL(ctx)
	return databaseUsage{d.spent + cpu, log}, err
}

// crash ends the database's server as a crash does, and starts it again. It
// returns when connections are taken.
func (d *postgresDatabase) crash(ctx context.Context) error {
	cpu, err := d.cluster.CPU() // of the life that ends here
	if err != nil {
		return err
	}
	d.spent += cpu
	return d.cluster.Restart(ctx, pgcluster.Immediate)
}

func (d *postgresDatabase) remove(ctx context.Context) error { return d.cluster.Drop(ctx, d.name) }

// startPostgres starts the server that the run has to itself, with the durability
// that Postgres has by default. The function that it returns ends that.
func (b *bench) startPostgres(ctx context.Context) (func(), error) {
	b.tell("starting Postgres")
	defer b.tell("")
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{Folder: b.opts.Dir, Durable: true})
	switch {
	case err != nil && os.Geteuid() == 0 && !errors.Is(err, pgcluster.ErrNotInstalled) && ctx.Err() == nil:
		return nil, fmt.Errorf("bench: --postgres: %w (Postgres does not run as root: if that is why, choose a folder with --dir that every user may enter)", err)
	case err != nil:
		return nil, fmt.Errorf("bench: --postgres: %w", err)
	}
	stop := func() { _ = cluster.Stop() } // at the latest it ends with this process
	if b.report.Machine.Postgres, err = cluster.Version(ctx); err != nil {
		stop()
		return nil, err
	}
	b.cluster = cluster
	return stop, nil
}

// newDatabase makes what a scenario's servers store everything in.
func (b *bench) newDatabase(ctx context.Context, dir string) (database, error) {
	if b.cluster == nil {
		return sqliteFile(filepath.Join(dir, "grapevine.db")), nil
	}
	b.databases++
	return newPostgresDatabase(ctx, b.cluster, fmt.Sprintf("bench_%d", b.databases))
}
