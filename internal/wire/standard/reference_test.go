package standard_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
	"github.com/grapevine-hq/grapevine/verify"
)

// request is a signed request, or one that was tampered with.
type request struct {
	Name    string            `json:"name"`
	Secret  string            `json:"secret"` // the receiver's
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Genuine bool              `json:"genuine"`
}

func mustSecret(t testing.TB, kind string) string {
	t.Helper()
	secret, err := standard.Dialect{}.NewSecret(kind)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// mustSign returns the headers of a message that is sent now.
func mustSign(t testing.TB, body string, secrets ...string) map[string]string {
	t.Helper()
	signer, err := standard.Dialect{}.NewSigner(wire.Keys{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	headers := make(map[string]string)
	for _, h := range signer.Sign(wire.Message{EventID: id.New(now), Type: "a", Body: []byte(body), SentAt: now, Attempt: 1}) {
		headers[h.Name] = h.Value
	}
	return headers
}

// bodies are bodies as the dialect encodes them.
func bodies(t testing.TB) []string {
	t.Helper()
	var list []string
	for _, data := range []string{
		`{}`, `{"n":[1, 2.5, -3, null, true], "z":1, "a":{"b":[]}}`,
		`{"text":"\u003cp\u003e \u0026 \/ \\ \" \b\f\n\r\t \u0000 \u2028\u2029 \u007f é 😀 \ud83d\ude00"}`,
		`{"half":"\ud83d", "long":"` + strings.Repeat("long ", 10_000) + `"}`,
	} {
		compact, err := wire.Compact([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(standard.Dialect{}.Encode(wire.Event{Type: "invoice.paid", OccurredAt: time.Now(), Data: compact})))
	}
	return list
}

// requests returns genuine requests, and each way to tamper with one.
func requests(t testing.TB) []request {
	t.Helper()
	current, old, pair := mustSecret(t, ""), mustSecret(t, standard.HMAC), mustSecret(t, standard.Ed25519)
	short := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 24))
	long := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 64))
	var list []request
	for _, body := range bodies(t) {
		list = append(list, request{"genuine", current, mustSign(t, body, current), body, true})
	}
	const body = `{"type":"a","timestamp":"2026-01-02T03:04:05Z","data":{"n":1}}`
	list = append(
		list,
		request{"the shortest secret", short, mustSign(t, body, short), body, true},
		request{"the longest secret", long, mustSign(t, body, long), body, true},
		request{"the new secret of a rotation", current, mustSign(t, body, current, old), body, true},
		request{"the old secret of a rotation", old, mustSign(t, body, current, old), body, true},
		request{"beside a key pair", old, mustSign(t, body, pair, old), body, true},
		request{"another's secret", old, mustSign(t, body, current), body, false},
		request{"another body", current, mustSign(t, body, current), strings.Replace(body, "1", "2", 1), false},
		request{"a longer body", current, mustSign(t, body, current), body + " ", false},
		request{"a key pair's signature alone", current, mustSign(t, body, pair), body, false},
	)
	for name, change := range map[string]func(h map[string]string){
		"another id":        func(h map[string]string) { h["Webhook-Id"] += "0" },
		"no id":             func(h map[string]string) { delete(h, "Webhook-Id") },
		"another time":      func(h map[string]string) { h["Webhook-Timestamp"] = h["Webhook-Timestamp"][:9] + "x" },
		"an earlier time":   func(h map[string]string) { h["Webhook-Timestamp"] = "1700000000" },
		"no signature":      func(h map[string]string) { delete(h, "Webhook-Signature") },
		"another signature": func(h map[string]string) { h["Webhook-Signature"] = "v1," + strings.Repeat("A", 43) + "=" },
		"another version":   func(h map[string]string) { h["Webhook-Signature"] = "v2" + h["Webhook-Signature"][2:] },
	} {
		h := mustSign(t, body, current)
		change(h)
		list = append(list, request{name, current, h, body, false})
	}
	return list
}

func header(of map[string]string) http.Header {
	h := make(http.Header)
	for name, value := range of {
		h.Set(name, value)
	}
	return h
}

func TestTheReferenceLibraryAndOurReceiversAcceptWhatIsGenuineAndNothingElse(t *testing.T) {
	for _, r := range requests(t) {
		reference, err := standardwebhooks.NewWebhook(r.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := reference.Verify([]byte(r.Body), header(r.Headers)); (err == nil) != r.Genuine {
			t.Errorf("%s: the reference library says %v", r.Name, err)
		}
		ours, err := verify.NewStandard(r.Secret)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ours.Verify(header(r.Headers), []byte(r.Body))
		if (err == nil) != r.Genuine {
			t.Errorf("%s: verify says %v", r.Name, err)
		}
		if r.Genuine && (m.ID != r.Headers["Webhook-Id"] || string(m.Body) != r.Body) {
			t.Errorf("%s: verify read %+v", r.Name, m)
		}
	}
}

// judgeScript verifies each request on its standard input and tells of each
// whether it was accepted and whether its body is the same once it was parsed
// and written again.
const judgeScript = `
const { Webhook } = require("standardwebhooks");
const requests = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(requests.map((r) => {
	let accepted = true;
	try { new Webhook(r.secret).verify(r.body, r.headers); } catch { accepted = false; }
	return { name: r.name, accepted, same: JSON.stringify(JSON.parse(r.body)) === r.body };
})));`

func TestTheNPMLibraryAcceptsWhatIsGenuineAndNothingElse(t *testing.T) {
	modules, err := filepath.Abs("../../../.tools/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(modules, "standardwebhooks"))
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("'make tools' did not install what this test needs: %v", err)
	}
	if err != nil {
		t.Skipf("needs node and the npm package standardwebhooks, which 'make tools' installs: %v", err)
	}
	sent := requests(t)
	input, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "-e", judgeScript)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), t.Output()
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	type judged struct {
		Name     string
		Accepted bool
		Same     bool
	}
	var got, want []judged
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	for _, r := range sent {
		want = append(want, judged{r.Name, r.Genuine, r.Name != "a longer body"})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the library says (-want +got):\n%s", diff)
	}
}

func TestAKeyPairsSignatureIsEd25519OverIDTimeAndBody(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := "whsk_" + base64.StdEncoding.EncodeToString(private)
	seed := "whsk_" + base64.StdEncoding.EncodeToString(private.Seed())
	const body = `{"type":"a"}`
	for name, secrets := range map[string][]string{"whole": {whole}, "seed": {seed}, "beside a secret": {mustSecret(t, ""), whole}} {
		signer, err := standard.Dialect{}.NewSigner(wire.Keys{Secrets: secrets})
		if err != nil {
			t.Fatal(err)
		}
		encoded := "whpk_" + base64.StdEncoding.EncodeToString(public)
		if diff := cmp.Diff([]string{encoded}, signer.PublicKeys()); diff != "" {
			t.Errorf("%s: public keys (-want +got):\n%s", name, diff)
		}
		h := mustSign(t, body, secrets...)
		var signature []byte
		for part := range strings.FieldsSeq(h["Webhook-Signature"]) {
			if text, ok := strings.CutPrefix(part, "v1a,"); ok {
				if signature, err = base64.StdEncoding.DecodeString(text); err != nil {
					t.Fatal(err)
				}
			}
		}
		signed := h["Webhook-Id"] + "." + h["Webhook-Timestamp"] + "." + body
		if !ed25519.Verify(public, []byte(signed), signature) {
			t.Errorf("%s: the signature is not valid", name)
		}
		receiver, err := verify.NewStandard(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receiver.Verify(header(h), []byte(body)); err != nil {
			t.Errorf("%s: verify says %v", name, err)
		}
		if _, err := receiver.Verify(header(h), []byte(body+" ")); err == nil {
			t.Errorf("%s: verify accepts another body", name)
		}
	}
}
