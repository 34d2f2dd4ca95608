package webhook

import (
	"database/sql"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// The planner has no statistics here, as in production: ANALYZE is never run.
const (
	planTenants = 3
	planEvents  = 10_000
)

// plans is a database that is filled, and what identifies some of it.
type plans struct {
	s             *Service
	db            *db.DB
	tenant, event id.ID
	sub           *Subscription
}

func mustPlans(t testing.TB) *plans {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	box, err := secret.Open(t.Context(), d, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	p := &plans{s: New(Options{DB: d, Box: box}), db: d}
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		for range planTenants {
			if err := p.fill(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fill stores a tenant's share of the events, each with two deliveries, in all
// states.
func (p *plans) fill(tx *db.Tx) error {
	p.tenant, p.event = id.New(tx.Now()), id.New(tx.Now())
	if _, err := tx.Exec(`INSERT INTO event (tenant_id, id, dialect, type, occurred_at, traceparent, body)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
		SELECT $1, CASE i WHEN 1 THEN $3 ELSE randomblob(12) END, 'standard', 't' || (i % 20), $4, '', x'7b7d' FROM n`,
		p.tenant[:], planEvents/planTenants, p.event[:], db.Micro(tx.Now())); err != nil {
		return err
	}
	for range 2 {
		p.sub = &Subscription{ID: id.New(tx.Now()), TenantID: p.tenant, Dialect: dialects.All[0], EventTypes: []string{AllTypes}, Enabled: true}
		if err := p.s.insertSubscription(tx, p.sub); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO delivery (tenant_id, event_id, subscription_id, status, attempts, step, epoch, next_at, updated_at, response_status, reason)
			SELECT tenant_id, id, $2, abs(random()) % 6, 0, 0, 0, occurred_at, occurred_at, 200, '' FROM event WHERE tenant_id = $1`,
			p.tenant[:], p.sub.ID[:]); err != nil {
			return err
		}
	}
	return nil
}

// explain returns the plan of a statement, a line for each step.
func (p *plans) explain(t testing.TB, query string, args ...any) []string {
	t.Helper()
	var steps []string
	err := p.db.Read(t.Context(), func(q db.Queryer) error {
		var err error
		steps, err = explain(q, query, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return steps
}

func explain(q db.Queryer, query string, args ...any) ([]string, error) {
	rows, err := q.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var node, parent, unused int
		var step string
		if err := rows.Scan(&node, &parent, &unused, &step); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, rows.Err()
}

// explained is a snapshot that keeps the plans of what is asked of it.
type explained struct {
	db.Queryer
	steps []string
	err   error
}

func (e *explained) Query(query string, args ...any) (*sql.Rows, error) {
	steps, err := explain(e.Queryer, query, args...)
	if err != nil {
		e.err = err
	}
	e.steps = append(e.steps, steps...)
	return e.Queryer.Query(query, args...)
}

func (e *explained) QueryRow(query string, args ...any) *sql.Row {
	steps, err := explain(e.Queryer, query, args...)
	if err != nil {
		e.err = err
	}
	e.steps = append(e.steps, steps...)
	return e.Queryer.QueryRow(query, args...)
}

// scans are the steps that read a whole table or index, and why they may.
var scans = map[string]string{
	"SCAN CONSTANT ROW":                                     "a row of arguments, no table",
	"SCAN s USING INDEX subscription_tenant":                "once at the start, all subscriptions that live",
	"SCAN delivery USING COVERING INDEX delivery_due":       "counts what waits, which is all that this index holds",
	"SCAN subscription USING INDEX subscription_cancelling": "this index holds only what is looked for",
	"SCAN k": "the keys of one page",
	"SCAN subscription USING COVERING INDEX subscription_status": "counts the subscriptions, which is all that this index holds",
	"SCAN h":     "only endpoints of which there is something to say",
	"SCAN waits": "what a search of an index gives",
}

func badSteps(steps []string) []string {
	return slices.DeleteFunc(slices.Clone(steps), func(step string) bool {
		return scans[step] != "" || !strings.HasPrefix(step, "SCAN") && !strings.HasPrefix(step, "USE TEMP B-TREE") &&
			!strings.Contains(step, "AUTOMATIC")
	})
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

func TestPlans(t *testing.T) {
	p := mustPlans(t)
	t.Run("no statement reads a whole table or sorts what it reads", p.testStatements)
	t.Run("every list of deliveries reads an index in its order", p.testDeliveries)
	t.Run("every list of events reads an index in its order", p.testEvents)
	t.Run("what is due is read in the order of its index", p.testDue)
	t.Run("a replay reads an index in its order", p.testReplays)
	t.Run("what comes next in order is read in the order of its index", p.testInOrder)
	t.Run("what is old is read and removed by ranges of keys", p.testRetention)
}

func (p *plans) testStatements(t *testing.T) {
	for place, query := range mustStatements(t) {
		args := 0
		for _, m := range placeholder.FindAllStringSubmatch(query, -1) {
			n, _ := strconv.Atoi(m[1])
			args = max(args, n)
		}
		steps := p.explain(t, query, make([]any, args)...)
		if strings.HasPrefix(place, "selectFirstPending:") { // of what waits for one subscription, the first
			steps = slices.DeleteFunc(steps, func(step string) bool { return step == "USE TEMP B-TREE FOR ORDER BY" })
		}
		if bad := badSteps(steps); len(bad) > 0 {
			t.Errorf("%s: %s\n%s", place, strings.Join(bad, "; "), query)
		}
	}
}

// built are the functions whose statements are put together as they run. Their
// plans are seen in the tests below.
var built = []string{"listEvents", "listDeliveries", "selectDepths", "selectUnheld"}

// mustStatements returns the statements of this package's stores by their place
// in them.
func mustStatements(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("store_*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d stores, %v", len(files), err)
	}
	set := token.NewFileSet()
	constants := make(map[string]ast.Expr)
	var functions []*ast.FuncDecl
	for _, name := range files {
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
				for i, name := range spec.Names {
					constants[name.Name] = spec.Values[i]
				}
			}
			return true
		})
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				functions = append(functions, f)
			}
		}
	}
	statements := make(map[string]string)
	for _, f := range functions {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Exec", "Query", "QueryRow"}, method.Sel.Name) {
				return true
			}
			text, ok := constant(constants, call.Args[0])
			if ok == slices.Contains(built, f.Name.Name) {
				t.Errorf("%s: either its text is constant or it belongs to those that are built", f.Name.Name)
			}
			if ok {
				statements[fmt.Sprintf("%s:%d", f.Name.Name, set.Position(call.Pos()).Line)] = text
			}
			return true
		})
	}
	if len(statements) < 20 {
		t.Fatalf("only %d statements were found", len(statements))
	}
	return statements
}

// constant returns the value of a text that is put together of constants.
func constant(constants map[string]ast.Expr, e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.Ident:
		value, ok := constants[e.Name]
		if !ok {
			return "", false
		}
		return constant(constants, value)
	case *ast.BinaryExpr:
		left, okLeft := constant(constants, e.X)
		right, okRight := constant(constants, e.Y)
		return left + right, okLeft && okRight && e.Op == token.ADD
	default:
		return "", false
	}
}

// wantPlan fails the test unless what read asks is answered through the index,
// without another scan and without sorting, but for the steps that are allowed.
func (p *plans) wantPlan(t *testing.T, index string, read func(q db.Queryer) error, allowed ...string) {
	t.Helper()
	var e explained
	err := p.db.Read(t.Context(), func(q db.Queryer) error {
		e.Queryer = q
		return read(&e)
	})
	if err != nil || e.err != nil {
		t.Fatal(err, e.err)
	}
	bad := slices.DeleteFunc(badSteps(e.steps), func(step string) bool { return slices.Contains(allowed, step) })
	if len(bad) > 0 || !strings.Contains(strings.Join(e.steps, "\n"), index) {
		t.Errorf("want %s, got:\n%s", index, strings.Join(e.steps, "\n"))
	}
}

func (p *plans) testDeliveries(t *testing.T) {
	since := p.event.Time().Add(-time.Second)
	const (
		byTenant = "SEARCH d USING PRIMARY KEY (tenant_id=?"
		bySub    = "INDEX delivery_subscription (subscription_id=?"
		byStatus = "COVERING INDEX delivery_ended_badly (tenant_id=? AND status=?"
		byDue    = "COVERING INDEX delivery_due (subscription_id=? AND status<?"
	)
	for name, test := range map[string]struct {
		filter DeliveryFilter
		index  string
	}{
		"all":                   {DeliveryFilter{}, byTenant},
		"subscription":          {DeliveryFilter{SubscriptionID: p.sub.ID}, bySub},
		"event":                 {DeliveryFilter{EventID: p.event}, "SEARCH d USING PRIMARY KEY (tenant_id=? AND event_id=?"},
		"one":                   {DeliveryFilter{EventID: p.event, SubscriptionID: p.sub.ID}, "(tenant_id=? AND event_id=? AND subscription_id=?"},
		"failed":                {DeliveryFilter{Status: "failed"}, byStatus},
		"held":                  {DeliveryFilter{Status: "held"}, byStatus},
		"cancelled":             {DeliveryFilter{Status: "cancelled"}, byStatus},
		"since":                 {DeliveryFilter{Since: since}, "(tenant_id=? AND event_id>?"},
		"since and until":       {DeliveryFilter{Since: since, Until: since.Add(time.Second)}, "(tenant_id=? AND event_id>?"},
		"failed since":          {DeliveryFilter{Status: "failed", Since: since}, byStatus},
		"subscription since":    {DeliveryFilter{SubscriptionID: p.sub.ID, Since: since}, bySub + " AND event_id>?"},
		"subscription, failed":  {DeliveryFilter{SubscriptionID: p.sub.ID, Status: "failed"}, byStatus},
		"subscription, pending": {DeliveryFilter{SubscriptionID: p.sub.ID, Status: "pending"}, byDue},
		"pending":               {DeliveryFilter{Status: "pending"}, byDue},
		"response of one":       {DeliveryFilter{SubscriptionID: p.sub.ID, ResponseStatus: 500}, bySub},
		"type, failed":          {DeliveryFilter{EventType: "t1", Status: "failed"}, byStatus},
		"type of one":           {DeliveryFilter{EventType: "t1", SubscriptionID: p.sub.ID}, "SEARCH t EXISTS USING COVERING INDEX event_id (tenant_id=? AND id=? AND type=?)"},
		"class of one":          {DeliveryFilter{SubscriptionID: p.sub.ID, ResponseClass: 5}, bySub},
		"reason, failed":        {DeliveryFilter{Reason: "timeout", Status: "failed"}, byStatus},
		"response, failed":      {DeliveryFilter{ResponseStatus: 500, Status: "failed"}, byStatus},
		"class, held":           {DeliveryFilter{ResponseClass: 5, Status: "held"}, byStatus},
		// These read the tenant's deliveries, the newest first, until the page is
		// full. Most are delivered; a rare response takes long to find.
		"delivered": {DeliveryFilter{Status: "delivered"}, byTenant},
		"response":  {DeliveryFilter{ResponseStatus: 500}, byTenant},
		"class":     {DeliveryFilter{ResponseClass: 5}, byTenant},
		"reason":    {DeliveryFilter{Reason: "timeout"}, byTenant},
		"type":      {DeliveryFilter{EventType: "t1"}, "SEARCH t EXISTS USING COVERING INDEX event_id (tenant_id=? AND id=? AND type=?)"},
	} {
		for _, before := range []id.ID{{}, p.event} {
			t.Run(name, func(t *testing.T) {
				var allowed []string
				if test.filter.Status == "pending" { // what waits is in the order of its times; a page of it is sorted
					allowed = []string{"USE TEMP B-TREE FOR ORDER BY"}
				}
				p.wantPlan(t, test.index, func(q db.Queryer) error {
					_, err := listDeliveries(q, p.tenant, test.filter, before, before, 50)
					return err
				}, allowed...)
			})
		}
	}
}

func (p *plans) testEvents(t *testing.T) {
	since := p.event.Time().Add(-time.Second)
	for name, test := range map[string]struct {
		filter EventFilter
		index  string
	}{
		"all":                      {EventFilter{}, "event_id (tenant_id=?"},
		"type":                     {EventFilter{Type: "t1"}, "event_id (tenant_id=?"},
		"type since":               {EventFilter{Type: "t1", Since: since}, "event_id (tenant_id=? AND id>?"},
		"since":                    {EventFilter{Since: since}, "event_id (tenant_id=? AND id>?"},
		"with a failure":           {EventFilter{DeliveryStatus: "failed"}, "COVERING INDEX delivery_ended_badly (tenant_id=? AND status=?"},
		"with a failure of a type": {EventFilter{DeliveryStatus: "failed", Type: "t1"}, "COVERING INDEX delivery_ended_badly (tenant_id=? AND status=?"},
		"with a delivery":          {EventFilter{DeliveryStatus: "delivered"}, "SEARCH d USING PRIMARY KEY (tenant_id=?"},
		"delivered since":          {EventFilter{DeliveryStatus: "delivered", Type: "t1", Since: since}, "SEARCH e USING INDEX event_id (tenant_id=? AND id=?)"},
		"one that waits, by type":  {EventFilter{DeliveryStatus: "pending", Type: "zz", Since: since}, "SEARCH e USING INDEX event_id (tenant_id=? AND id=?)"},
		"a failure, by type":       {EventFilter{DeliveryStatus: "failed", Type: "t1", Since: since}, "SEARCH e USING INDEX event_id (tenant_id=? AND id=?)"},
		"with one that waits":      {EventFilter{DeliveryStatus: "pending"}, "COVERING INDEX delivery_due (subscription_id=? AND status<?"},
	} {
		for _, before := range []id.ID{{}, p.event} {
			t.Run(name, func(t *testing.T) {
				var allowed []string
				if test.filter.DeliveryStatus == "pending" {
					allowed = []string{"USE TEMP B-TREE FOR ORDER BY", "USE TEMP B-TREE FOR DISTINCT"}
				}
				p.wantPlan(t, test.index, func(q db.Queryer) error {
					_, err := listEvents(q, p.tenant, test.filter, before, 50)
					return err
				}, allowed...)
			})
		}
	}
}

func (p *plans) testDue(t *testing.T) {
	for _, lane := range []Lane{Pending, Retrying} {
		p.wantPlan(t, "delivery_due (subscription_id=? AND status=? AND next_at<?", func(q db.Queryer) error {
			_, err := selectDue(q, DueQuery{Sub: p.sub, Lane: lane, Now: time.Now(), Limit: 50})
			return err
		})
	}
}

func (p *plans) testReplays(t *testing.T) {
	since := p.event.Time().Add(-time.Second)
	filter := func(sub id.ID, statuses ...string) ReplayFilter {
		return ReplayFilter{SubscriptionID: sub, Statuses: statuses, Since: since}
	}
	for name, test := range map[string]struct {
		filter ReplayFilter
		index  string
	}{
		"all":                      {filter(id.ID{}), "SEARCH d USING PRIMARY KEY (tenant_id=? AND (event_id,subscription_id)>(?,?)"},
		"delivered":                {filter(id.ID{}, "delivered"), "SEARCH d USING PRIMARY KEY (tenant_id=? AND (event_id,subscription_id)>(?,?)"},
		"failed":                   {filter(id.ID{}, "failed"), "COVERING INDEX delivery_ended_badly (tenant_id=? AND status=? AND (event_id,subscription_id)>(?,?)"},
		"held and failed":          {filter(id.ID{}, "held", "failed"), "COVERING INDEX delivery_ended_badly (tenant_id=? AND status=? AND (event_id,subscription_id)>(?,?)"},
		"a subscription":           {filter(p.sub.ID), "COVERING INDEX delivery_subscription (subscription_id=? AND event_id>?"},
		"a subscription, recovery": {filter(p.sub.ID, "held", "failed"), "COVERING INDEX delivery_subscription (subscription_id=? AND event_id>?"},
	} {
		t.Run(name, func(t *testing.T) {
			spec, err := newReplay(KindReplay, test.filter, id.New(time.Now()), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []place{{}, {event: p.event, sub: p.sub.ID}} {
				p.wantPlan(t, test.index, func(q db.Queryer) error {
					_, _, _, err := spec.read(q, p.tenant, at, 500)
					return err
				})
			}
		})
	}
}

func (p *plans) testInOrder(t *testing.T) {
	p.wantPlan(t, "delivery_subscription (subscription_id=? AND event_id>?", func(q db.Queryer) error {
		_, err := selectInOrder(q, DueQuery{Sub: p.sub, From: p.event, Now: time.Now(), Limit: 50})
		return err
	})
	const first = "COVERING INDEX delivery_due (subscription_id=? AND status=?"
	statements := mustStatements(t)
	for place, query := range statements {
		if strings.HasPrefix(place, "selectFirstPending:") {
			steps := p.explain(t, query, p.sub.ID[:])
			if plan := strings.Join(steps, "\n"); strings.Count(plan, first) != 2 {
				t.Errorf("want %s twice, got:\n%s", first, plan)
			}
			return
		}
	}
	t.Error("the first one that is pending is not looked for")
}

func (p *plans) testRetention(t *testing.T) {
	want := map[string]string{
		"nextTenantWithEvents":  "event_id (tenant_id>?)",
		"firstEventFrom":        "event_id (tenant_id=? AND id>?)",
		"selectAged":            "event_id (tenant_id=? AND id>? AND id<?)",
		"eventOfDelivery":       "PRIMARY KEY (tenant_id=? AND event_id>? AND event_id<?)",
		"awaitedEvents":         "SEARCH d USING PRIMARY KEY (tenant_id=? AND event_id>? AND event_id<?)",
		"deleteAttempts":        "PRIMARY KEY (tenant_id=? AND event_id>? AND event_id<?)",
		"deleteDeliveries":      "PRIMARY KEY (tenant_id=? AND event_id>? AND event_id<?)",
		"deleteIdempotencyKeys": "idempotency_key_event (tenant_id=? AND event_id>? AND event_id<?)",
		"deleteEvents":          "event_id (tenant_id=? AND id>? AND id<?)",
		"clearResponses":        "PRIMARY KEY (tenant_id=? AND event_id>? AND event_id<?)",
		"cancelWaiting":         "PRIMARY KEY (tenant_id=? AND event_id>? AND event_id<?)",
		"clearBodies":           "event_id (tenant_id=? AND id>? AND id<?)",
		"deletedSubscriptions":  "subscription_deleted (id>?)",
		"forgetSubscriptions":   "SEARCH d USING COVERING INDEX delivery_subscription (subscription_id=?)",
	}
	seen := make(map[string]bool)
	for place, query := range mustStatements(t) {
		function, _, _ := strings.Cut(place, ":")
		if want[function] == "" {
			continue
		}
		seen[function] = true
		args := make([]any, strings.Count(query, "$"))
		if plan := strings.Join(p.explain(t, query, args...), "; "); !strings.Contains(plan, want[function]) {
			t.Errorf("%s: %s\n%s", place, plan, query)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d of %d functions have a statement", len(seen), len(want))
	}
}
