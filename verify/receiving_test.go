package verify_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/referralloop"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// trial is a request to a function of docs/receiving.md.
type trial struct {
	Name    string            `json:"name"`
	Headers map[string]string `json:"headers"` // names in lower case
	Body    []byte            `json:"body"`
	Key     any               `json:"key"` // of the receiver
	Genuine bool              `json:"genuine"`
}

// trialsOf returns genuine requests of the scheme, and each way to tamper with one.
func trialsOf(t *testing.T, s trialScheme) []trial {
	t.Helper()
	var all []trial
	for _, data := range []string{`{}`, `{"n":[1,2.5,null],"html":"<p> & ' \" \\ \u2028 é 😀</p>"}`, `{"long":"` + strings.Repeat("long ", 20_000) + `"}`} {
		headers, body := s.sign(t, data)
		all = append(all, trial{"genuine", headers, body, s.key, true})
	}
	headers, body := s.sign(t, `{"n":1}`)
	signature := headers[s.signature]
	tamper := func(name string, change func(h map[string]string)) {
		h := maps.Clone(headers)
		change(h)
		all = append(all, trial{name, h, body, s.key, false})
	}
	replaced := func(by string) func(map[string]string) {
		return func(h map[string]string) { h[s.signature] = by }
	}
	all = append(
		all,
		trial{"another body", headers, bytes.Replace(body, []byte(`"n":1`), []byte(`"n":2`), 1), s.key, false},
		trial{"a longer body", headers, append(bytes.Clone(body), '\n'), s.key, false},
		trial{"no body", headers, nil, s.key, false},
		trial{"another key", headers, body, s.otherKey, false},
	)
	tamper("no signature", func(h map[string]string) { delete(h, s.signature) })
	tamper("an empty signature", replaced(""))
	tamper("a shorter signature", replaced(signature[:len(signature)-4]))
	tamper("a longer signature", replaced(signature+"AAAA"))
	tamper("two signatures in one header", replaced(signature+","+signature))
	tamper("another signature", replaced(strings.Map(rotate, signature)))
	tamper("a signature that is not ASCII", replaced("é"+signature))
	for name, change := range s.tampered {
		h := maps.Clone(headers)
		change(h)
		all = append(all, trial{name, h, body, s.key, false})
	}
	return append(all, s.further...)
}

// rotate gives digits and small letters another value.
func rotate(r rune) rune {
	switch {
	case r >= '0' && r <= '9':
		return '0' + (r-'0'+1)%10
	case r >= 'a' && r <= 'f':
		return 'a' + (r-'a'+1)%6
	}
	return r
}

// trialScheme is a signature that the document has functions for.
type trialScheme struct {
	name          string // the functions' name behind "verify"
	signature     string // its header
	key, otherKey any
	sign          func(t *testing.T, data string) (map[string]string, []byte)
	tampered      map[string]func(h map[string]string)
	further       []trial
}

// sender returns a function that signs as the dialect does, at the time of the
// call.
func sender(d wire.Dialect, e wire.Event, keys wire.Keys) func(*testing.T, string) (map[string]string, []byte) {
	return func(t *testing.T, data string) (map[string]string, []byte) {
		t.Helper()
		e.Data = []byte(data)
		sent := mustSend(t, d, e, keys)
		signer := must(d.NewSigner(keys))
		headers := make(map[string]string)
		for name := range sent.header {
			headers[strings.ToLower(name)] = sent.header.Get(name)
		}
		for _, h := range signer.Sign(wire.Message{EventID: eventID, Body: []byte(sent.body), SentAt: time.Now(), Attempt: 1}) {
			headers[strings.ToLower(h.Name)] = h.Value
		}
		return headers, []byte(sent.body)
	}
}

func trialSchemes(t *testing.T) []trialScheme {
	key, other := must(makeServerKey()), must(makeOtherKey())
	as := &wire.Identity{Tenant: wire.Tenant{Alias: "acme", Settings: wire.Settings{"jws": "on"}}, Key: apiKey, RSA: serverKey(t)}
	const current, old = "whsec_" + testSecret, "whsec_" + otherSecret
	event := wire.Event{Type: "user.created"}
	rotating := sender(standard.Dialect{}, event, wire.Keys{Secrets: []string{current, old}})
	headers, body := rotating(t, `{}`)
	another := *as
	another.Tenant.Alias = "other"
	othersHeaders, othersBody := sender(saasquatch.Dialect{}, event, wire.Keys{Identity: &another})(t, `{}`)
	two := parsed(t, set(publicJWK(otherKid, &other.PublicKey), publicJWK(serverKid, &key.PublicKey)))
	jws := func(header string, sign func([]byte) []byte) func(map[string]string) {
		return func(h map[string]string) {
			_, body := sender(saasquatch.Dialect{}, event, wire.Keys{Identity: as})(t, `{"n":1}`)
			h["x-hook-jws-rfc-7797"] = signJWS(header, string(body), sign)
		}
	}
	const kid = `"kid":"` + serverKid + `"`
	return []trialScheme{
		{
			name: "Standard", signature: "webhook-signature", key: current, otherKey: old,
			sign: sender(standard.Dialect{}, event, wire.Keys{Secrets: []string{current}}),
			tampered: map[string]func(map[string]string){
				"no id":           func(h map[string]string) { delete(h, "webhook-id") },
				"another id":      func(h map[string]string) { h["webhook-id"] += "0" },
				"no time":         func(h map[string]string) { delete(h, "webhook-timestamp") },
				"no number":       func(h map[string]string) { h["webhook-timestamp"] += "x" },
				"an earlier time": func(h map[string]string) { h["webhook-timestamp"] = "1700000000" },
				"a later time":    func(h map[string]string) { h["webhook-timestamp"] = "999999999999" },
				"another version": func(h map[string]string) { h["webhook-signature"] = "v2" + h["webhook-signature"][2:] },
			},
			further: []trial{
				{"the new secret of a rotation", headers, body, current, true},
				{"the old secret of a rotation", headers, body, old, true},
				recorded(current),
			},
		},
		{
			name: "SaaSquatch", signature: "x-hook-signature", key: apiKey, otherKey: "LIVE_another", sign: sender(saasquatch.Dialect{}, event, wire.Keys{Identity: as}),
		},
		{
			name: "SaaSquatchJWS", signature: "x-hook-jws-rfc-7797", key: two, otherKey: parsed(t, set(publicJWK(serverKid, &other.PublicKey))),
			sign:    sender(saasquatch.Dialect{}, event, wire.Keys{Identity: as}),
			further: []trial{{"another tenant's event", othersHeaders, othersBody, two, false}},
			tampered: map[string]func(map[string]string){
				"alg none":                  jws(`{"alg":"none",`+kid+`}`, func([]byte) []byte { return []byte("x") }),
				"HS256 with the public key": jws(`{"alg":"HS256",`+kid+`}`, hs256(key.N.Bytes())),
				"alg RS512":                 jws(`{"alg":"RS512",`+kid+`}`, rs256(key)),
				"alg that is no text":       jws(`{"alg":["RS256"],`+kid+`}`, rs256(key)),
				"critical members":          jws(`{"alg":"RS256",`+kid+`,"crit":["b64"]}`, rs256(key)),
				"an unknown kid":            jws(`{"alg":"RS256","kid":"k"}`, rs256(key)),
				"no kid":                    jws(`{"alg":"RS256"}`, rs256(key)),
				"the other key's kid":       jws(`{"alg":"RS256","kid":"`+otherKid+`"}`, rs256(key)),
				"a header that is null":     jws(`null`, rs256(key)),
				"a header that is a number": jws(`7`, rs256(key)),
				"a header that is no JSON":  jws(`{`, rs256(key)),
				"a signature of ones":       jws(`{"alg":"RS256",`+kid+`}`, func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 256) }),
				"the modulus added": jws(`{"alg":"RS256",`+kid+`}`, func(content []byte) []byte {
					n := new(big.Int).SetBytes(rs256(key)(content))
					return n.Add(n, key.N).Bytes()
				}),
				"not detached": func(h map[string]string) {
					h["x-hook-jws-rfc-7797"] = strings.Replace(h["x-hook-jws-rfc-7797"], "..", ".e30.", 1)
				},
				"a fourth part": func(h map[string]string) { h["x-hook-jws-rfc-7797"] += ".e30" },
			},
		},
		{
			name: "ReferralLoop", signature: "x-webhook-signature", key: loopSecret, otherKey: "rlsec_another-secret",
			sign: sender(referralloop.Dialect{}, wire.Event{Type: "signup.created", Fields: map[string]string{"waitlist_id": waitlist}}, wire.Keys{Secrets: []string{loopSecret}}),
			tampered: map[string]func(map[string]string){
				"no prefix":      func(h map[string]string) { h["x-webhook-signature"] = h["x-webhook-signature"][7:] },
				"another prefix": func(h map[string]string) { h["x-webhook-signature"] = "sha1" + h["x-webhook-signature"][6:] },
			},
		},
	}
}

// recorded is a genuine request of the standard dialect that is played back late.
func recorded(secret string) trial {
	header := signedHeader(testID, testTimestamp, testBody, signV1(strings.TrimPrefix(secret, "whsec_")))
	headers := make(map[string]string)
	for name := range header {
		headers[strings.ToLower(name)] = header.Get(name)
	}
	return trial{"a recorded request", headers, []byte(testBody), secret, false}
}

func parsed(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// language is one that the document has functions in.
type language struct {
	fence    string
	required bool // under CI=true
	run      func(t *testing.T, code, function string) *exec.Cmd
	name     func(scheme string) string
}

// snake is a scheme's name in small letters with underscores.
func snake(scheme string) string {
	return map[string]string{
		"Standard": "verify_standard", "SaaSquatch": "verify_saasquatch",
		"SaaSquatchJWS": "verify_saasquatch_jws", "ReferralLoop": "verify_referralloop",
	}[scheme]
}

// alias is the further argument of the functions that take the tenant's.
func alias(function string) string {
	if strings.HasSuffix(strings.ToLower(function), "jws") {
		return `, "acme"`
	}
	return ""
}

var languages = map[string]language{
	"node": {"js", true, func(t *testing.T, code, function string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "node", "-e", code+`
const trials = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(trials.map((t) => `+function+`(t.headers, Buffer.from(t.body ?? "", "base64"), t.key`+alias(function)+`))));`)
	}, func(scheme string) string { return "verify" + scheme }},
	"python3": {"python", true, func(t *testing.T, code, function string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "python3", "-c", code+`
import base64, json, sys
trials = json.load(sys.stdin)
json.dump([`+function+`(t["headers"], base64.b64decode(t["body"] or ""), t["key"]`+alias(function)+`) for t in trials], sys.stdout)`)
	}, snake},
	"php": {"php", false, func(t *testing.T, code, function string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-r", code+`
$trials = json_decode(stream_get_contents(STDIN), true);
echo json_encode(array_map(fn ($t) => `+function+`($t['headers'], base64_decode($t['body'] ?? ''), $t['key']`+alias(function)+`), $trials));`)
	}, snake},
	"go": {"go", true, runGo, func(scheme string) string { return "verify" + scheme }},
}

// runGo puts a function into a program of its own.
func runGo(t *testing.T, code, function string) *exec.Cmd {
	key := "t.Key.(string)"
	if strings.HasSuffix(function, "JWS") {
		key = "keysOf(t.Key)"
	}
	program := `package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"

	"github.com/grapevine-hq/grapevine/verify"
)

` + code + `

func keysOf(set any) *verify.JWKS {
	text, _ := json.Marshal(set)
	keys, _ := verify.ParseJWKS(text)
	return keys
}

func main() {
	var trials []struct {
		Headers map[string]string
		Body    []byte
		Key     any
	}
	_ = json.NewDecoder(os.Stdin).Decode(&trials)
	genuine := make([]bool, len(trials))
	for i, t := range trials {
		r, _ := http.NewRequest("POST", "/", bytes.NewReader(t.Body))
		for name, value := range t.Headers {
			r.Header.Set(name, value)
		}
		_, err := ` + function + `(r, ` + key + alias(function) + `)
		genuine[i] = err == nil
	}
	_ = json.NewEncoder(os.Stdout).Encode(genuine)
	_ = keysOf
}
`
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "go", "run", file)
}

// mustHave skips the test without a program, and fails it where CI=true says that
// it ought to be there.
func mustHave(t *testing.T, program string, required bool) {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil && required && os.Getenv("CI") == "true" {
		t.Fatalf("this test needs %s: %v", program, err)
	}
	if err != nil {
		t.Skipf("needs %s: %v", program, err)
	}
}

var fenced = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

func TestTheCodeOfTheDocumentAcceptsWhatIsGenuineAndNothingElse(t *testing.T) {
	document, err := os.ReadFile("../docs/receiving.md")
	if err != nil {
		t.Fatal(err)
	}
	for program, l := range languages {
		for _, scheme := range trialSchemes(t) {
			t.Run(program+"/"+scheme.name, func(t *testing.T) {
				mustHave(t, program, l.required)
				t.Parallel()
				function := l.name(scheme.name)
				code := blockWith(t, string(document), l.fence, function)
				trials := trialsOf(t, scheme)
				input := must(json.Marshal(trials))
				cmd := l.run(t, code, function)
				cmd.Stdin, cmd.Stderr = bytes.NewReader(input), t.Output()
				output, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				var got []bool
				if err := json.Unmarshal(output, &got); err != nil || len(got) != len(trials) {
					t.Fatalf("%s: %v", output, err)
				}
				for i, tr := range trials {
					if got[i] != tr.Genuine {
						t.Errorf("%s is taken for genuine: %t", tr.Name, got[i])
					}
				}
			})
		}
	}
}

// blockWith returns the one block of code of a language that has the function.
func blockWith(t *testing.T, document, fence, function string) string {
	t.Helper()
	var found []string
	for _, m := range fenced.FindAllStringSubmatch(document, -1) {
		if m[1] == fence && strings.Contains(m[2], " "+function+"(") {
			found = append(found, m[2])
		}
	}
	if len(found) != 1 {
		t.Fatalf("the document has %d blocks of %s with %s", len(found), fence, function)
	}
	return found[0]
}

func TestEveryBlockOfCodeInTheDocumentIsTried(t *testing.T) {
	document := must(os.ReadFile("../docs/receiving.md"))
	var tried []string
	for _, scheme := range trialSchemes(t) {
		for _, l := range languages {
			tried = append(tried, l.fence+" "+l.name(scheme.name))
		}
	}
	tried = append(tried, "go verifyRehook") // an Example of this package does the same
	declared := regexp.MustCompile(`(?m)^(?:func|function|def) (verify\w+)\(`)
	var there []string
	for _, m := range fenced.FindAllStringSubmatch(string(document), -1) {
		name := declared.FindStringSubmatch(m[2])
		if name == nil {
			t.Errorf("a block declares no function:\n%s", m[2])
			continue
		}
		there = append(there, m[1]+" "+name[1])
	}
	slices.Sort(tried)
	slices.Sort(there)
	if diff := cmp.Diff(tried, there); diff != "" {
		t.Errorf("-tried +there:\n%s", diff)
	}
}

func TestAnExpressHandlerThatWritesTheParsedBodyAgainAcceptsWhatReferralLoopsDialectSends(t *testing.T) {
	mustHave(t, "node", true)
	modules, err := filepath.Abs("../.tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "express")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("'make tools' did not install what this test needs: %v", err)
		}
		t.Skipf("needs the npm package express, which 'make tools' installs: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/express_receiver.js", loopSecret)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = t.Output()
	stdin, stdout := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // which ends it
		_ = cmd.Wait()
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + strings.TrimSpace(port) + "/webhooks/referralloop"
	data := map[string]string{
		"hostile text":    `{"t":"\u003cp\u003e & \u2028\u2029 \u007f \/ \b\f\n\r\t\u0000 \\ é 😀 \ud83d"}`,
		"hostile numbers": `{"n":[1.0, 1E3, -0, 1e21, 1e-7, 0.000001, 9007199254740991]}`,
		"hostile keys":    `{"b":1, "10":2, "9":3, "__proto__":4, "":5, "01":6}`,
	}
	for _, e := range (referralloop.Dialect{}).Catalogue(nil) {
		data[e.Name] = string(e.Sample)
	}
	sign := sender(referralloop.Dialect{}, wire.Event{Type: "signup.created", Fields: map[string]string{"waitlist_id": waitlist}}, wire.Keys{Secrets: []string{loopSecret}})
	for name, text := range data {
		headers, body := sign(t, text)
		if status := postTo(t, url, headers, body); status != http.StatusOK {
			t.Errorf("%s: answered %d", name, status)
		}
		forged := bytes.Replace(body, []byte("signup"), []byte("Signup"), 1)
		if status := postTo(t, url, headers, forged); status != http.StatusUnauthorized {
			t.Errorf("%s, forged: answered %d", name, status)
		}
	}
	headers, body := sign(t, `{}`)
	for _, signature := range []string{"", "sha256=", "sha256", fmt.Sprintf("sha1=%064d", 0), headers["x-webhook-signature"] + "0"} {
		headers["x-webhook-signature"] = signature
		if status := postTo(t, url, headers, body); status != http.StatusUnauthorized {
			t.Errorf("with the signature %q: answered %d", signature, status)
		}
	}
}

func postTo(t *testing.T, url string, headers map[string]string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json") // as dispatch does
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
