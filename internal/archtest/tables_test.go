package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// migrationFiles lie below internal/. A comment `-- owner: PACKAGE`, a path
// below internal/ too, stands before each CREATE TABLE in them.
const migrationFiles = "db/migrations/*.sql"

func TestEachPackageNamesOnlyItsOwnTables(t *testing.T) {
	internal := os.DirFS("..")
	if files, err := fs.Glob(internal, migrationFiles); err != nil || len(files) == 0 {
		t.Fatalf("no migrations in internal/%s: without them nothing says who owns which table (%v)", migrationFiles, err)
	}
	breaches, tables, err := tableBreaches(internal)
	if err != nil {
		t.Fatal(err)
	}
	if tables == 0 {
		t.Fatalf("the migrations in internal/%s make no table", migrationFiles)
	}
	for _, breach := range breaches {
		t.Error(breach)
	}
}

// tableBreaches reads the migrations and the Go files below internal, without
// their tests and testkit. It returns a sentence for each breach of the rule
// that a package owns its tables, and how many tables there are.
func tableBreaches(internal fs.FS) ([]string, int, error) {
	owners, breaches, err := readOwners(internal)
	if err != nil {
		return nil, 0, err
	}
	packages, err := readPackages(internal)
	if err != nil {
		return nil, 0, err
	}
	for _, text := range packages["db"] {
		for _, table := range readSQL(text.sql).created { // its own bookkeeping
			owners[table] = "db"
		}
	}
	for table, owner := range owners {
		if _, ok := packages[owner]; !ok {
			breaches = append(breaches, fmt.Sprintf("table %s belongs to internal/%s, which is no package", table, owner))
		}
	}
	for name, texts := range packages {
		for _, text := range texts {
			breaches = append(breaches, text.breaches(name, owners)...)
		}
	}
	slices.Sort(breaches)
	return slices.Compact(breaches), len(owners), nil
}

// readOwners returns who owns each table that the migrations make, and a
// sentence for each table without an owner and each foreign key between
// packages.
func readOwners(internal fs.FS) (map[string]string, []string, error) {
	files, err := fs.Glob(internal, migrationFiles)
	if err != nil {
		return nil, nil, err
	}
	var breaches []string
	owners := map[string]string{}
	references := map[string][]string{} // by table
	for _, file := range files {
		content, err := fs.ReadFile(internal, file)
		if err != nil {
			return nil, nil, err
		}
		for _, statement := range statements(string(content)) {
			use := readTokens(statement, true)
			for _, table := range use.created {
				owner := ownerComment(statement)
				if owner == "" {
					breaches = append(breaches, fmt.Sprintf("%s: table %s has no owner: write `-- owner: PACKAGE` before it", file, table))
					continue
				}
				owners[table] = owner
			}
			if len(use.referenced) > 0 { // the first name is the table made or altered
				references[use.named[0]] = append(references[use.named[0]], use.referenced...)
			}
		}
	}
	for table, targets := range references {
		for _, target := range targets {
			if owners[table] != owners[target] {
				breaches = append(breaches, fmt.Sprintf("table %s of %s has a foreign key to %s of %s: none may cross packages",
					table, owners[table], target, owners[target]))
			}
		}
	}
	return owners, breaches, nil
}

// statements splits a migration at its semicolons; the comments before a
// statement belong to it.
func statements(text string) [][]sqlToken {
	var all [][]sqlToken
	tokens := tokenize(text)
	for len(tokens) > 0 {
		end := slices.IndexFunc(tokens, func(tok sqlToken) bool { return tok.text == ";" })
		if end < 0 {
			end = len(tokens) - 1
		}
		all = append(all, tokens[:end+1])
		tokens = tokens[end+1:]
	}
	return all
}

// ownerComment returns the package that the last comment `-- owner: PACKAGE`
// of a statement names, or "".
func ownerComment(statement []sqlToken) string {
	owner := ""
	for _, tok := range statement {
		text := strings.TrimSpace(strings.TrimPrefix(tok.text, "--"))
		if name, ok := strings.CutPrefix(text, "owner:"); ok && tok.isComment() {
			owner = strings.TrimSpace(name)
		}
	}
	return owner
}

// A goText is what a string expression in a Go file says.
type goText struct {
	at  string // file:line
	sql string
}

func (text goText) breaches(name string, owners map[string]string) []string {
	var breaches []string
	use := readSQL(text.sql)
	for _, table := range use.named {
		if owner, ok := owners[table]; ok && owner != name {
			breaches = append(breaches, fmt.Sprintf("%s: %s names the table %s, which belongs to %s", text.at, name, table, owner))
		}
	}
	if name == "db" {
		return breaches
	}
	if use.dynamic {
		breaches = append(breaches, fmt.Sprintf("%s: the SQL leaves a table's name open: write it out, so that its owner can be checked", text.at))
	}
	for _, table := range use.created {
		breaches = append(breaches, fmt.Sprintf("%s: table %s is made here: tables are made by migrations", text.at, table))
	}
	return breaches
}

// readPackages returns the string expressions of each package below internal,
// by its path.
func readPackages(internal fs.FS) (map[string][]goText, error) {
	fset := token.NewFileSet()
	files := map[string][]*ast.File{}
	err := eachSource(internal, fset, func(name string, file *ast.File) {
		files[path.Dir(name)] = append(files[path.Dir(name)], file)
	})
	packages := map[string][]goText{}
	for name := range files {
		packages[name] = (&textReader{fset: fset}).read(files[name])
	}
	return packages, err
}

// eachSource calls fn with every Go file below internal, but for tests and what
// only tests use.
func eachSource(internal fs.FS, fset *token.FileSet, fn func(name string, file *ast.File)) error {
	return fs.WalkDir(internal, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || name == "testkit"):
			return fs.SkipDir
		case path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		content, err := fs.ReadFile(internal, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, name, content, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		fn(name, file)
		return nil
	})
}

// A textReader puts the string expressions of one package together: literals,
// and sums of literals and the package's constants.
type textReader struct {
	fset      *token.FileSet
	constants map[string]ast.Expr
	texts     []goText
}

func (r *textReader) read(files []*ast.File) []goText {
	r.constants = map[string]ast.Expr{}
	for _, file := range files {
		ast.Inspect(file, r.noteConstants)
	}
	for _, file := range files {
		ast.Inspect(file, r.noteText)
	}
	return r.texts
}

func (r *textReader) noteConstants(node ast.Node) bool {
	if decl, ok := node.(*ast.GenDecl); ok && decl.Tok == token.CONST {
		for _, spec := range decl.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, value := range spec.Values {
				r.constants[spec.Names[i].Name] = value
			}
		}
	}
	return true
}

func (r *textReader) noteText(node ast.Node) bool {
	expr, ok := node.(ast.Expr)
	if !ok {
		return true
	}
	switch expr := expr.(type) {
	case *ast.BasicLit:
		if expr.Kind != token.STRING {
			return false
		}
	case *ast.BinaryExpr:
		if expr.Op != token.ADD {
			return true
		}
	default:
		return true
	}
	text, open := r.fold(expr, 0)
	position := r.fset.Position(expr.Pos())
	r.texts = append(r.texts, goText{at: fmt.Sprintf("%s:%d", position.Filename, position.Line), sql: text})
	for _, part := range open {
		ast.Inspect(part, r.noteText)
	}
	return false
}

// fold returns what expr says, with a hole for each part that it can't know, and
// those parts. The depth ends constants that are defined by each other.
func (r *textReader) fold(expr ast.Expr, depth int) (string, []ast.Expr) {
	const deepest = 100
	switch expr := expr.(type) {
	case *ast.BasicLit:
		if value, err := strconv.Unquote(expr.Value); err == nil {
			return value, nil
		}
	case *ast.ParenExpr:
		return r.fold(expr.X, depth)
	case *ast.Ident:
		if value, ok := r.constants[expr.Name]; ok && depth < deepest {
			text, _ := r.fold(value, depth+1)
			return text, nil
		}
	case *ast.BinaryExpr:
		if expr.Op == token.ADD {
			left, openLeft := r.fold(expr.X, depth)
			right, openRight := r.fold(expr.Y, depth)
			return left + right, append(openLeft, openRight...)
		}
	}
	return hole, []ast.Expr{expr}
}

func TestBreachesOfTableOwnershipAreFound(t *testing.T) {
	base := fstest.MapFS{
		"db/migrations/0001_core.sql": file("-- owner: tenant\nCREATE TABLE tenant (id {{blob}} PRIMARY KEY){{strict}};\n" +
			"-- owner: webhook\n-- What subscribers get.\nCREATE TABLE event (\n  id {{blob}} PRIMARY KEY, -- a comment; with a semicolon's twin\n  body {{blob}}\n){{strict}};\n" +
			"CREATE INDEX event_by_id ON event (id);\n" +
			"-- owner: webhook\nCREATE TABLE delivery (event {{blob}} REFERENCES event (id)){{strict}};\n"),
		"db/migrate.go":     file("package db\nconst own = `CREATE TABLE IF NOT EXISTS migration (version INTEGER)`\nvar all = \"INSERT INTO \" + table"),
		"tenant/store.go":   file("package tenant\nconst q = `SELECT id FROM tenant`"),
		"webhook/store.go":  file("package webhook\nconst from = ` FROM event`\nvar q = `SELECT id` + from + ` WHERE id = $1`"),
		"testkit/spy.go":    file("package testkit\nconst q = `SELECT id FROM event JOIN tenant`"),
		"api/api_test.go":   file("package api\nconst q = `SELECT id FROM event`"),
		"api/api.go":        file("package api\nvar text = `update event: ask the tenant`"),
		"engine/x/store.go": file("package x\nconst q = `SELECT id FROM json_each($1)`"),
	}
	tests := []struct {
		name, file, content string
		want                string // part of the only breach; "" for none
	}{
		{"everyone keeps to their own", "api/more.go", "package api", ""},
		{"another's table", "api/more.go", "package api\n\nconst q = `SELECT id FROM event`", "api/more.go:3: api names the table event, which belongs to webhook"},
		{"another's table in a function", "tenant/more.go", "package tenant\nfunc f() { run(`UPDATE delivery SET state = 1`) }", "tenant names the table delivery"},
		{"another's table through constants", "tenant/more.go", "package tenant\nconst name = `delivery`\nfunc f() { run(`DELETE FROM ` + name) }", "tenant/more.go:3: tenant names the table delivery"},
		{"another's table inside a call in a sum", "tenant/more.go", "package tenant\nvar q = `x` + f(` FROM event`)", "tenant names the table event"},
		{"the bookkeeping of db", "webhook/more.go", "package webhook\nconst q = `SELECT version FROM migration`", "webhook names the table migration, which belongs to db"},
		{"db in another's table", "db/more.go", "package db\nconst q = `SELECT id FROM tenant`", "db names the table tenant"},
		{"a subpackage is another package", "webhook/sub/more.go", "package sub\nconst q = `SELECT id FROM event`", "webhook/sub names the table event"},
		{"a name left open", "webhook/more.go", "package webhook\nvar q = `SELECT id FROM ` + table()", "leaves a table's name open"},
		{"a name to format", "webhook/more.go", "package webhook\nvar q = fmt.Sprintf(`SELECT id FROM %s`, x)", "leaves a table's name open"},
		{"a table made outside of migrations", "webhook/more.go", "package webhook\nvar q = `CREATE TABLE mine (id INTEGER)`", "table mine is made here"},
		{"a table without an owner", "db/migrations/0002_more.sql", "-- Notes.\nCREATE TABLE note (id {{blob}});", "table note has no owner"},
		{"an owner counts for one table", "db/migrations/0002_more.sql", "-- owner: webhook\nCREATE TABLE note (id {{blob}});\nCREATE TABLE mark (id {{blob}});", "table mark has no owner"},
		{"an owner that is no package", "db/migrations/0002_more.sql", "-- owner: webhok\nCREATE TABLE note (id {{blob}});", "internal/webhok, which is no package"},
		{"a foreign key between packages", "db/migrations/0002_more.sql", "-- owner: webhook\nCREATE TABLE note (tenant {{blob}} REFERENCES tenant (id));", "foreign key to tenant of tenant"},
		{"a foreign key added later", "db/migrations/0002_more.sql", "ALTER TABLE event ADD COLUMN tenant {{blob}} REFERENCES tenant (id);", "foreign key to tenant of tenant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			internal := maps.Clone(base)
			internal[tt.file] = file(tt.content)
			breaches, _, err := tableBreaches(internal)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && len(breaches) == 0 {
				return
			}
			if tt.want == "" || len(breaches) != 1 || !strings.Contains(breaches[0], tt.want) {
				t.Errorf("breaches: %q, want one with %q", breaches, tt.want)
			}
		})
	}
}

func file(content string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(content)}
}
