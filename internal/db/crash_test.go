package db_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// crashPath is the variable that makes the test's binary the program that the
// test of crashes kills; its value is the database's path.
const crashPath = "GRAPEVINE_DB_CRASH_PATH"

// writeUntilKilled stores pairs of notes from many goroutines and prints each
// id that Write returned for.
func writeUntilKilled(path string) {
	ctx := context.Background()
	d, err := db.Open(ctx, "sqlite:"+path, db.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				id := next.Add(2)
				if err := d.Write(ctx, func(tx *db.Tx) error {
					if err := insert(tx, id); err != nil {
						return err
					}
					return insert(tx, id+1)
				}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Fprintln(os.Stdout, id) // a single write to the pipe
			}
		})
	}
	wg.Wait()
}

func TestWhatWriteReturnedForOutlivesAKill(t *testing.T) {
	for _, acknowledged := range []int{1, 50, 2000} {
		t.Run(strconv.Itoa(acknowledged), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "notes.db")
			d := mustOpen(t, path, db.Options{})
			mustWrite(t, d, func(tx *db.Tx) error {
				_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
				return err
			})
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			promised := killAfter(t, path, acknowledged)
			stored := map[int64]bool{}
			d = mustOpen(t, path, db.Options{})
			if err := d.Read(t.Context(), func(q db.Queryer) error {
				ids, err := noteIDs(q)
				for _, id := range ids {
					stored[id] = true
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, id := range promised {
				if !stored[id] {
					t.Errorf("note %d was acknowledged and is gone", id)
				}
			}
			for id := range stored {
				if !stored[id^1] {
					t.Errorf("note %d was stored without the other of its transaction", id)
				}
			}
			t.Logf("%d acknowledged, %d stored", len(promised), len(stored)/2)
			mustWrite(t, d, note(-1))
		})
	}
}

// killAfter runs writeUntilKilled, kills it once it has acknowledged so many
// notes, and returns all that it acknowledged.
func killAfter(t *testing.T, path string, acknowledged int) []int64 {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashPath+"="+path)
	child.Stderr = t.Output()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for lines := bufio.NewScanner(out); lines.Scan(); { // until the pipe is empty and its end is closed
		id, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if len(ids) == acknowledged {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(ids) < acknowledged {
		t.Fatalf("the child ended by itself after %d notes: %v", len(ids), err)
	}
	return ids
}
