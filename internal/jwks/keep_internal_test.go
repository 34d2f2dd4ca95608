package jwks

import (
	"path/filepath"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// This test stands inside the package to put a change exactly between the reading
// of the keys and the keeping of them.
func TestKeysThatAnotherServerChangesWhileTheyAreReadAreNotKept(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "t.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	box, err := secret.Open(t.Context(), d, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	var nodes testkit.Nodes
	var servers [2]*Service
	for i := range servers {
		if servers[i], err = New(d, Options{Box: box, Feed: nodes.Node()}); err != nil {
			t.Fatal(err)
		}
	}
	here, there := servers[0], servers[1]
	if _, err := here.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, began := there.keys.get()
	var read *ring
	err = d.Read(t.Context(), func(q db.Queryer) error {
		var err error
		read, err = there.read(q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := here.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there.keys.keep(read, began)
	if now, err := there.Current(t.Context()); err != nil || now.ID != rotated.ID {
		t.Errorf("the server signs with %+v, %v; want %s", now, err, rotated.ID)
	}
}
