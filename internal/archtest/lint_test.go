package archtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/grapevine-hq/grapevine"
	config = ".golangci.yml"
)

// A plant is a file in which a rule of the linter is broken, or kept by a
// hair's breadth. Files in one folder make one package.
type plant struct {
	name    string
	file    string   // its path in the module
	imports []string // `internal/…`, client and verify are ours
	code    string   // declarations
	want    string   // the linter that reports it; "" for none
}

var plants = []plant{
	{name: "the client with the server's errors", file: "client/a.go", imports: []string{"internal/problem"}, want: "depguard"},
	{name: "the client with verify", file: "client/b.go", imports: []string{"verify"}, want: "depguard"},
	{name: "the client with a library", file: "client/c.go", imports: []string{"example.com/third"}, want: "depguard"},
	{name: "the client with the standard library", file: "client/d.go", imports: []string{"net/http", "encoding/json"}},
	{name: "verify with a library", file: "verify/a.go", imports: []string{"example.com/third"}, want: "depguard"},
	{name: "verify with our ids", file: "verify/b.go", imports: []string{"internal/id"}, want: "depguard"},
	{name: "verify with cryptography", file: "verify/c.go", imports: []string{"crypto/hmac", "crypto/ed25519"}},
	{name: "a test of verify with the reference library", file: "verify/d_test.go", imports: []string{"github.com/standard-webhooks/standard-webhooks/libraries"}},

	{name: "id with the database", file: "internal/id/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "id with a library", file: "internal/id/b.go", imports: []string{"example.com/third"}, want: "depguard"},
	{name: "id as a column", file: "internal/id/c.go", imports: []string{"database/sql/driver"}},
	{name: "id with the clock", file: "internal/id/d.go", imports: []string{"time"}, code: "var _ = time.Now()", want: "forbidigo"},
	{name: "problem with id", file: "internal/problem/a.go", imports: []string{"internal/id"}, want: "depguard"},
	{name: "problem with SQL", file: "internal/problem/b.go", imports: []string{"database/sql"}, want: "depguard"},

	{name: "condition with the database", file: "internal/condition/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "condition with a wire", file: "internal/condition/b.go", imports: []string{"internal/wire"}, want: "depguard"},
	{name: "condition with a library", file: "internal/condition/c.go", imports: []string{"example.com/third"}, want: "depguard"},
	{name: "condition with the clock", file: "internal/condition/d.go", imports: []string{"time"}, code: "var _ = time.Now()", want: "forbidigo"},
	{name: "condition with the table of errors", file: "internal/condition/e.go", imports: []string{"encoding/json", "internal/problem"}},

	{name: "a wire with the database", file: "internal/wire/standard/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "a wire with SQL", file: "internal/wire/standard/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "a wire with problem", file: "internal/wire/standard/c.go", imports: []string{"internal/problem"}, want: "depguard"},
	{name: "a wire with an HTTP client", file: "internal/wire/standard/d.go", imports: []string{"net/http"}, code: "var _ http.Client", want: "forbidigo"},
	{name: "a wire with the clock", file: "internal/wire/standard/f.go", imports: []string{"time"}, code: "var _ = time.Since(time.Time{})", want: "forbidigo"},
	{name: "a wire with a renamed clock", file: "internal/wire/standard/g.go", code: "import clock \"time\"\n\nvar _ = clock.Now", want: "forbidigo"},
	{name: "a wire with sockets", file: "internal/wire/standard/h.go", imports: []string{"net"}, want: "depguard"},
	{name: "a wire with the environment", file: "internal/wire/standard/i.go", imports: []string{"os"}, want: "depguard"},
	{name: "a wire with headers and durations", file: "internal/wire/standard/j.go", imports: []string{"net/http", "time"}, code: "var _ = http.Header{}\nvar _ = 5 * time.Second\nvar _ = http.StatusGone"},
	{name: "a wire with its contract", file: "internal/wire/standard/k.go", imports: []string{"internal/wire", "internal/id"}},
	{name: "a test of a wire with the clock", file: "internal/wire/standard/l_test.go", imports: []string{"time", "internal/testkit"}, code: "var _ = time.Now()"},

	{name: "the suite of the wires with webhook", file: "internal/wire/wiretest/a.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "the suite of the wires with another library", file: "internal/wire/wiretest/b.go", imports: []string{"example.com/third"}, want: "depguard"},
	{name: "the suite of the wires with its judges", file: "internal/wire/wiretest/c.go", imports: []string{"testing", "os/exec", "internal/wire", "internal/id", "github.com/santhosh-tekuri/jsonschema/v6"}},
	{name: "a wire with the suite's library", file: "internal/wire/standard/m.go", imports: []string{"github.com/santhosh-tekuri/jsonschema/v6"}, want: "depguard"},

	{name: "the console with the database", file: "internal/console/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "the console with SQL", file: "internal/console/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "the console with the API", file: "internal/console/c.go", imports: []string{"internal/api"}, want: "depguard"},
	{name: "the console with templates that don't escape", file: "internal/console/d.go", imports: []string{"text/template"}, want: "depguard"},
	{name: "the console with a browser", file: "internal/console/e.go", imports: []string{"github.com/chromedp/chromedp"}, want: "depguard"},
	{name: "the console with services", file: "internal/console/f.go", imports: []string{"html/template", "internal/audit", "internal/edge", "internal/session", "internal/tenant", "internal/webhook", "internal/wire", "internal/problem"}},

	{name: "db with a package above it", file: "internal/db/a.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "db with a driver", file: "internal/db/b.go", imports: []string{"modernc.org/sqlite", "database/sql"}},
	{name: "secret with tenant", file: "internal/secret/a.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "audit with tenant", file: "internal/audit/a.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "audit with SQL", file: "internal/audit/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "audit with what it rests on", file: "internal/audit/c.go", imports: []string{"internal/db", "internal/id", "internal/problem"}},
	{name: "session with tenant", file: "internal/session/a.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "session with SQL", file: "internal/session/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "session with what it rests on", file: "internal/session/c.go", imports: []string{"internal/db", "internal/id", "internal/problem"}},
	{name: "tenant with webhook", file: "internal/tenant/a.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "tenant with what it rests on", file: "internal/tenant/b.go", imports: []string{"database/sql", "internal/audit", "internal/db", "internal/secret", "internal/problem", "internal/wire"}},
	{name: "tenant with the server's keys", file: "internal/tenant/c.go", imports: []string{"internal/jwks"}, want: "depguard"},
	{name: "jwks with tenant", file: "internal/jwks/a.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "jwks with SQL", file: "internal/jwks/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "jwks with what it rests on", file: "internal/jwks/c.go", imports: []string{"crypto/rsa", "internal/audit", "internal/db", "internal/id", "internal/secret", "internal/wire"}},
	{name: "netguard with config", file: "internal/netguard/a.go", imports: []string{"internal/config"}, want: "depguard"},
	{name: "netguard with its library", file: "internal/netguard/b.go", imports: []string{"code.dny.dev/ssrf"}},
	{name: "config with webhook", file: "internal/config/a.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "config with the environment", file: "internal/config/b.go", imports: []string{"os"}, code: "var _ = os.Getenv(\"X\")"},

	{name: "node with webhook", file: "internal/node/a.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "node with SQL", file: "internal/node/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "node with what it rests on", file: "internal/node/c.go", imports: []string{"internal/db", "internal/id", "github.com/jackc/pgx/v5"}},
	{name: "node with another driver", file: "internal/node/d.go", imports: []string{"modernc.org/sqlite"}, want: "depguard"},
	{name: "pgcluster with db", file: "internal/pgcluster/zz.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "webhook with the driver of Postgres", file: "internal/webhook/h.go", imports: []string{"github.com/jackc/pgx/v5"}, want: "depguard"},
	{name: "job with webhook", file: "internal/job/a.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "job with SQL", file: "internal/job/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "job with what it rests on", file: "internal/job/c.go", imports: []string{"internal/db", "internal/id", "internal/problem"}},

	{name: "timer with facts", file: "internal/timer/a.go", imports: []string{"internal/fact"}, want: "depguard"},
	{name: "timer with SQL", file: "internal/timer/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "timer with what it rests on", file: "internal/timer/c.go", imports: []string{"internal/db", "internal/id", "internal/problem"}},
	{name: "facts with the engine", file: "internal/fact/a.go", imports: []string{"internal/engine"}, want: "depguard"},
	{name: "facts with webhook", file: "internal/fact/b.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "facts with what they rest on", file: "internal/fact/c.go", imports: []string{"internal/db", "internal/id", "internal/problem", "internal/timer"}},
	{name: "the engine with a program", file: "internal/engine/code/a.go", imports: []string{"internal/referral"}, want: "depguard"},
	{name: "the engine with a dialect", file: "internal/engine/code/b.go", imports: []string{"internal/dialect"}, want: "depguard"},
	{name: "the engine with webhook", file: "internal/engine/code/d.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "the engine with SQL", file: "internal/engine/code/e.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "the engine with what it rests on", file: "internal/engine/code/c.go", imports: []string{"internal/audit", "internal/condition", "internal/db", "internal/engine/person", "internal/fact", "internal/id", "internal/job", "internal/problem", "internal/timer"}},
	{name: "the engine with what runs the rules", file: "internal/engine/code/f.go", imports: []string{"internal/engine/effect"}, want: "depguard"},
	{name: "what runs the rules with the engine", file: "internal/engine/effect/zz.go", imports: []string{"internal/engine/activity", "internal/engine/reward", "internal/fact", "internal/timer"}},
	{name: "rules with the database", file: "internal/engine/rule/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "rules with facts", file: "internal/engine/rule/b.go", imports: []string{"internal/fact"}, want: "depguard"},
	{name: "rules with the clock", file: "internal/engine/rule/c.go", imports: []string{"time"}, code: "var _ = time.Now()", want: "forbidigo"},
	{name: "rules with conditions", file: "internal/engine/rule/d.go", imports: []string{"math/big", "time", "internal/condition", "internal/problem"}},
	{name: "signals with people", file: "internal/engine/fraud/a.go", imports: []string{"internal/engine/person"}, want: "depguard"},
	{name: "signals with what they compare", file: "internal/engine/fraud/b.go", imports: []string{"net/netip", "internal/engine/email", "internal/id"}},
	{name: "the pages of programs with the database", file: "internal/hosted/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "the pages of programs with webhook", file: "internal/hosted/b.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "the pages of programs with templates that don't escape", file: "internal/hosted/c.go", imports: []string{"text/template"}, want: "depguard"},
	{name: "the pages of programs with services", file: "internal/hosted/d.go", imports: []string{"html/template", "internal/edge", "internal/engine/code", "internal/referral", "internal/tenant"}},
	{name: "a program with another", file: "internal/referral/a.go", imports: []string{"internal/waitlist"}, want: "depguard"},
	{name: "a program with a dialect", file: "internal/referral/b.go", imports: []string{"internal/dialect"}, want: "depguard"},
	{name: "a program with webhook", file: "internal/referral/d.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "a program with the engine", file: "internal/referral/c.go", imports: []string{"internal/audit", "internal/db", "internal/engine/effect", "internal/engine/person", "internal/fact", "internal/timer"}},

	{name: "webhook with dispatch", file: "internal/webhook/a.go", imports: []string{"internal/dispatch"}, want: "depguard"},
	{name: "webhook with the API", file: "internal/webhook/b.go", imports: []string{"internal/api"}, want: "depguard"},
	{name: "webhook with a program", file: "internal/webhook/c.go", imports: []string{"internal/waitlist"}, want: "depguard"},
	{name: "webhook with a driver", file: "internal/webhook/d.go", imports: []string{"modernc.org/sqlite"}, want: "depguard"},
	{name: "webhook with what it rests on", file: "internal/webhook/e.go", imports: []string{"database/sql", "internal/audit", "internal/condition", "internal/wire", "internal/db", "internal/job", "internal/netguard", "internal/secret"}},
	{name: "webhook with tenants", file: "internal/webhook/g.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "webhook with the environment", file: "internal/webhook/f.go", imports: []string{"os"}, code: "var _ = os.Getenv(\"X\")", want: "forbidigo"},

	{name: "dispatch with the API", file: "internal/dispatch/a.go", imports: []string{"internal/api"}, want: "depguard"},
	{name: "dispatch with app", file: "internal/dispatch/b.go", imports: []string{"internal/app"}, want: "depguard"},
	{name: "dispatch with a program", file: "internal/dispatch/c.go", imports: []string{"internal/loyalty"}, want: "depguard"},
	{name: "dispatch with SQL", file: "internal/dispatch/d.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "dispatch with the database", file: "internal/dispatch/j.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "dispatch with the bare guard", file: "internal/dispatch/e.go", imports: []string{"code.dny.dev/ssrf"}, want: "depguard"},
	{name: "dispatch with the default client", file: "internal/dispatch/f.go", imports: []string{"net/http"}, code: "var _ = http.DefaultClient", want: "forbidigo"},
	{name: "dispatch asleep", file: "internal/dispatch/g.go", imports: []string{"time"}, code: "func nap() { time.Sleep(1) }", want: "forbidigo"},
	{name: "a test of dispatch with the default client, asleep", file: "internal/dispatch/i_test.go", imports: []string{"net/http", "time"}, code: "var _ = http.Get\n\nfunc nap() { time.Sleep(1) }"},
	{name: "dispatch with what it sends by", file: "internal/dispatch/h.go", imports: []string{"time", "net/http", "internal/webhook", "internal/wire", "internal/netguard"}, code: "var _ = time.Now"},

	{name: "the API with SQL", file: "internal/api/a.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "the API with the database", file: "internal/api/b.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "the API with dispatch", file: "internal/api/c.go", imports: []string{"internal/dispatch"}, want: "depguard"},
	{name: "the API with testkit", file: "internal/api/d.go", imports: []string{"internal/testkit"}, want: "depguard"},
	{name: "the API with the client", file: "internal/api/e.go", imports: []string{"client"}, want: "depguard"},
	{name: "the API with the server's keys", file: "internal/api/l.go", imports: []string{"internal/jwks"}, want: "depguard"},
	{name: "the API with jobs", file: "internal/api/m.go", imports: []string{"internal/job"}, want: "depguard"},
	{name: "the API with timers", file: "internal/api/n.go", imports: []string{"internal/timer"}, want: "depguard"},
	{name: "the API with services", file: "internal/api/f.go", imports: []string{"internal/audit", "internal/engine/person", "internal/fact", "internal/referral", "internal/tenant", "internal/webhook", "internal/problem"}},
	{name: "a test of the API with all of it", file: "internal/api/g_test.go", imports: []string{"database/sql", "internal/testkit", "internal/app"}},

	{name: "edge with tenants", file: "internal/edge/a.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "edge with an API", file: "internal/edge/b.go", imports: []string{"internal/api"}, want: "depguard"},
	{name: "edge with the vocabulary", file: "internal/edge/c.go", imports: []string{"internal/id", "internal/problem", "net/http"}},
	{name: "the API with edge", file: "internal/api/h.go", imports: []string{"internal/edge"}},
	{name: "what dialects share with the database", file: "internal/dialect/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "what dialects share with services", file: "internal/dialect/b.go", imports: []string{"internal/audit", "internal/tenant", "internal/webhook", "internal/edge"}},
	{name: "a dialect's API with SQL", file: "internal/dialect/rehook/a.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "a dialect's API with another's", file: "internal/dialect/rehook/b.go", imports: []string{"internal/dialect/partnerstack"}, want: "depguard"},
	{name: "a dialect's API with the native one", file: "internal/dialect/rehook/c.go", imports: []string{"internal/api"}, want: "depguard"},
	{name: "a dialect's API with dispatch", file: "internal/dialect/rehook/d.go", imports: []string{"internal/dispatch"}, want: "depguard"},
	{name: "a dialect's API with its world of tests", file: "internal/dialect/rehook/e.go", imports: []string{"internal/dialect/dialecttest"}, want: "depguard"},
	{name: "a dialect's API with services", file: "internal/dialect/rehook/f.go", imports: []string{"internal/dialect", "internal/engine/person", "internal/fact", "internal/referral", "internal/tenant", "internal/webhook", "internal/wire/rehook", "internal/problem"}},
	{name: "a test of a dialect's API with its world", file: "internal/dialect/rehook/g_test.go", imports: []string{"internal/dialect/dialecttest"}},
	{name: "the world of dialects' tests with all of it", file: "internal/dialect/dialecttest/a.go", imports: []string{"internal/db", "internal/dispatch", "testing"}},

	{name: "bench with the database", file: "internal/bench/a.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "bench with app", file: "internal/bench/b.go", imports: []string{"internal/app"}, want: "depguard"},
	{name: "bench with what a user has", file: "internal/bench/c.go", imports: []string{"client", "internal/pgcluster", "verify"}},

	{name: "app with cli", file: "internal/app/a.go", imports: []string{"internal/cli"}, want: "depguard"},
	{name: "app with SQL", file: "internal/app/b.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "app with testkit", file: "internal/app/d.go", imports: []string{"internal/testkit"}, want: "depguard"},
	{name: "app with testing", file: "internal/app/e.go", imports: []string{"testing"}, want: "depguard"},
	{name: "app with all that it wires", file: "internal/app/c.go", imports: []string{"internal/api", "internal/db", "internal/dispatch", "internal/config"}},
	{name: "cli with SQL", file: "internal/cli/a.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "cli with the database", file: "internal/cli/b.go", imports: []string{"internal/db"}, want: "depguard"},
	{name: "cli with the API", file: "internal/cli/e.go", imports: []string{"internal/api"}, want: "depguard"},
	{name: "cli with a dialect's API", file: "internal/cli/j.go", imports: []string{"internal/dialect"}, want: "depguard"},
	{name: "cli with edge", file: "internal/cli/k.go", imports: []string{"internal/edge"}, want: "depguard"},
	{name: "cli with dispatch", file: "internal/cli/f.go", imports: []string{"internal/dispatch"}, want: "depguard"},
	{name: "cli with the server's keys", file: "internal/cli/j.go", imports: []string{"internal/jwks"}, want: "depguard"},
	{name: "cli with jobs", file: "internal/cli/m.go", imports: []string{"internal/job"}, want: "depguard"},
	{name: "cli with secret", file: "internal/cli/g.go", imports: []string{"internal/secret"}, want: "depguard"},
	{name: "cli with session", file: "internal/cli/s.go", imports: []string{"internal/session"}, want: "depguard"},
	{name: "cli with audit", file: "internal/cli/l.go", imports: []string{"internal/audit"}, want: "depguard"},
	{name: "cli with the engine", file: "internal/cli/n.go", imports: []string{"internal/engine"}, want: "depguard"},
	{name: "cli with a program", file: "internal/cli/o.go", imports: []string{"internal/referral"}, want: "depguard"},
	{name: "cli with tenant", file: "internal/cli/h.go", imports: []string{"internal/tenant"}, want: "depguard"},
	{name: "cli with webhook", file: "internal/cli/i.go", imports: []string{"internal/webhook"}, want: "depguard"},
	{name: "cli to the standard output", file: "internal/cli/c.go", imports: []string{"fmt"}, code: "func say() { fmt.Println() }", want: "forbidigo"},
	{name: "cli with app and the client", file: "internal/cli/d.go", imports: []string{"internal/app", "internal/config", "client", "verify"}},
	{name: "cmd with app", file: "cmd/grapevine/a.go", imports: []string{"internal/app"}, want: "depguard"},
	{name: "cmd with cli", file: "cmd/grapevine/b.go", imports: []string{"internal/cli"}},

	{name: "an unknown package with SQL", file: "internal/later/a.go", imports: []string{"database/sql"}, want: "depguard"},
	{name: "an unknown package with app", file: "internal/later/b.go", imports: []string{"internal/app"}, want: "depguard"},
	{name: "an unknown package with the old log", file: "internal/later/c.go", imports: []string{"log"}, want: "depguard"},
	{name: "an unknown package with the old dice", file: "internal/later/f.go", imports: []string{"math/rand"}, want: "depguard"},
	{name: "an unknown package with slog", file: "internal/later/d.go", imports: []string{"log/slog", "math/rand/v2"}},
	{name: "an unknown package with a library for tests", file: "internal/later/e.go", imports: []string{"github.com/google/go-cmp"}, want: "depguard"},
	{name: "a suite for tests with testkit", file: "internal/later/latertest/a.go", imports: []string{"testing", "internal/testkit"}},
}

// libraries are the modules that the plants import, as stubs.
var libraries = []string{
	"code.dny.dev/ssrf",
	"example.com/third",
	"github.com/chromedp/chromedp",
	"github.com/google/go-cmp",
	"github.com/santhosh-tekuri/jsonschema/v6",
	"github.com/standard-webhooks/standard-webhooks/libraries",
	"modernc.org/sqlite",
}

func TestTheLinterReportsPlantedBreaches(t *testing.T) {
	linter := mustLinter(t)
	dir := t.TempDir()
	mustCopyConfig(t, dir)
	mustEnable(t, linter, dir, "depguard", "forbidigo")
	gomod := "module " + module + "\n\ngo 1.26\n"
	for _, library := range libraries {
		gomod += fmt.Sprintf("\nrequire %[1]s %[2]s.0.0\n\nreplace %[1]s => ./_stubs/%[1]s\n", library, majorVersion(library))
		mustWrite(t, dir, path.Join("_stubs", library, "go.mod"), "module "+library+"\n")
		mustWrite(t, dir, path.Join("_stubs", library, "stub.go"), "package stub\n")
	}
	mustWrite(t, dir, "go.mod", gomod)
	for _, p := range plants {
		mustPlant(t, dir, p)
	}

	reports := map[string][]string{} // the linters, by file
	for _, issue := range mustLint(t, linter, dir) {
		if issue.FromLinter == "typecheck" {
			t.Fatalf("the planted module does not compile: %s: %s", issue.Pos.Filename, issue.Text)
		}
		reports[issue.Pos.Filename] = append(reports[issue.Pos.Filename], issue.FromLinter)
	}
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			got := reports[p.file]
			if p.want == "" && len(got) > 0 {
				t.Errorf("%s is fine and was reported by %q", p.file, got)
			}
			if p.want != "" && !slices.Contains(got, p.want) {
				t.Errorf("%s is a breach that %s should report; reported by %q", p.file, p.want, got)
			}
		})
	}
}

// majorVersion returns the major version that a module's path demands.
func majorVersion(library string) string {
	if last := path.Base(library); len(last) == 2 && last[0] == 'v' {
		return last
	}
	return "v0"
}

func TestEveryPackageHasAnImportRule(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(root, config))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() && name != "archtest" && !strings.Contains(string(rules), "**/internal/"+name+"/**") {
			t.Errorf("%s says nothing about internal/%s: add what it may import, and a plant here", config, name)
		}
	}
}

// mustLinter returns the path of the linter that `make tools` installs. Without
// it the test is skipped, or fails where CI=true.
func mustLinter(t *testing.T) string {
	t.Helper()
	linter, err := filepath.Abs(filepath.Join(root, ".tools", "bin", "golangci-lint"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(linter); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the linter is missing: %v", err)
		}
		t.Skip("golangci-lint is not in .tools/bin: `make tools` installs it")
	}
	return linter
}

func mustCopyConfig(t *testing.T, dir string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, config))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, dir, config, string(content))
}

func mustWrite(t *testing.T, dir, name, content string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustPlant writes the file of a plant, and a stub for each package of ours
// that it imports. A forbidden import names a folder within the package, for
// which the same rules hold: so no two breaches make a cycle of imports, which
// the compiler would report in place of the linter.
func mustPlant(t *testing.T, dir string, p plant) {
	t.Helper()
	source := "package " + path.Base(path.Dir(p.file))
	if strings.HasSuffix(p.file, "_test.go") {
		source += "_test"
	}
	source += "\n\n"
	for _, imported := range p.imports {
		if strings.HasPrefix(imported, "internal/") || imported == "client" || imported == "verify" {
			if p.want == "depguard" {
				imported += "/within"
			}
			mustWrite(t, dir, path.Join(imported, "stub.go"), "package "+path.Base(imported)+"\n")
			imported = path.Join(module, imported)
		}
		name := "_ "
		if strings.Contains(p.code, path.Base(imported)+".") {
			name = ""
		}
		source += fmt.Sprintf("import %s%q\n", name, imported)
	}
	mustWrite(t, dir, p.file, source+"\n"+p.code+"\n")
}

type lintIssue struct {
	FromLinter string
	Text       string
	Pos        struct{ Filename string }
}

// mustEnable demands that the configuration switches the linters on.
func mustEnable(t *testing.T, linter, dir string, names ...string) {
	t.Helper()
	var listed struct{ Enabled []struct{ Name string } }
	mustRun(t, dir, &listed, linter, "linters", "--json")
	for _, name := range names {
		if !slices.ContainsFunc(listed.Enabled, func(l struct{ Name string }) bool { return l.Name == name }) {
			t.Errorf("%s does not enable %s", config, name)
		}
	}
}

// mustLint runs the two linters that hold the fences, so that the others need
// not read the standard library.
func mustLint(t *testing.T, linter, dir string) []lintIssue {
	t.Helper()
	var report struct{ Issues []lintIssue }
	mustRun(t, dir, &report, linter, "run", "--enable-only", "depguard,forbidigo", "--allow-parallel-runners",
		"--issues-exit-code", "0", "--show-stats=false", "--output.json.path", "stdout", "./...")
	return report.Issues
}

func mustRun(t *testing.T, dir string, answer any, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, args[0], err, out)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%s %s answered no JSON: %v\n%s", program, args[0], err, out)
	}
}
