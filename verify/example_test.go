package verify_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/verify"
)

// A whole receiver: only verified requests reach the function.
func Example() {
	webhooks, err := verify.NewStandard("whsec_" + exampleSecret) // from your configuration
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhooks", webhooks.Handler(func(w http.ResponseWriter, _ *http.Request, m verify.Message) {
		fmt.Printf("%s %s\n", m.ID, m.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	server := httptest.NewServer(mux)
	defer server.Close()

	signed := exampleRequest("evt_1", `{"type":"waitlist.joined"}`, signV1(exampleSecret))
	forged := exampleRequest("evt_2", `{"type":"waitlist.joined"}`, signV1("Z3Vlc3NlZCwgYnV0IG5vdCByaWdodCwgc29ycnkh"))
	fmt.Println(send(server, signed))
	fmt.Println(send(server, forged))
	// Output:
	// evt_1 {"type":"waitlist.joined"}
	// 204 No Content
	// 401 Unauthorized
}

// While a secret is rotated the receiver knows both, so that it does not matter
// when exactly the sender changes over. Afterwards it forgets the old one.
func ExampleNewStandard_rotation() {
	const oldSecret, newSecret = exampleSecret, "dGhlIG5ldyBzZWNyZXQsIG1hZGUgeWVzdGVyZGF5"
	during, err := verify.NewStandard("whsec_"+newSecret, "whsec_"+oldSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := verify.NewStandard("whsec_" + newSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sender := range []struct {
		signs string
		with  []signFunc
	}{
		{"with the old", []signFunc{signV1(oldSecret)}},
		{"with both", []signFunc{signV1(newSecret), signV1(oldSecret)}},
		{"with the new", []signFunc{signV1(newSecret)}},
	} {
		r := exampleRequest("evt_1", `{}`, sender.with...)
		_, errDuring := during.Request(r)
		_, errAfter := after.Request(r)
		fmt.Printf("signed %s: during: %v, after: %v\n", sender.signs, errDuring, errAfter)
	}
	// Output:
	// signed with the old: during: <nil>, after: verify: no valid signature
	// signed with both: during: <nil>, after: <nil>
	// signed with the new: during: <nil>, after: <nil>
}

// With a public key the receiver holds nothing that it would have to keep secret.
func ExampleNewStandard_publicKey() {
	public, private, err := ed25519.GenerateKey(nil) // the sender's; it shows the public half
	if err != nil {
		fmt.Println(err)
		return
	}
	webhooks, err := verify.NewStandard("whpk_" + base64.StdEncoding.EncodeToString(public))
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := webhooks.Request(exampleRequest("evt_1", `{"type":"reward.granted"}`, signV1a(private)))
	fmt.Println(m.ID, err)
	// Output: evt_1 <nil>
}

// A delivery whose answer was lost comes again, with the same id. This receiver
// does the work once, and answers alike both times.
func ExampleStandard_Handler_duplicates() {
	webhooks, err := verify.NewStandard("whsec_" + exampleSecret)
	if err != nil {
		fmt.Println(err)
		return
	}
	// In a real receiver this is a table with a unique id, and the row is inserted
	// in the transaction that does the work: either both happen or neither.
	var mu sync.Mutex
	done := map[string]bool{}
	receive := func(w http.ResponseWriter, _ *http.Request, m verify.Message) {
		mu.Lock()
		defer mu.Unlock()
		if !done[m.ID] {
			fmt.Printf("granting what %s says\n", m.ID)
			done[m.ID] = true
		}
		w.WriteHeader(http.StatusNoContent)
	}
	server := httptest.NewServer(webhooks.Handler(receive))
	defer server.Close()

	for _, id := range []string{"evt_1", "evt_1", "evt_2"} {
		fmt.Println(send(server, exampleRequest(id, `{"type":"reward.granted"}`, signV1(exampleSecret))))
	}
	// Output:
	// granting what evt_1 says
	// 204 No Content
	// 204 No Content
	// granting what evt_2 says
	// 204 No Content
}

// What follows plays the sender.

const exampleSecret = "YW4gZXhhbXBsZSwgdG8gYmUga2VwdCBzZWNyZXQh"

// signFunc makes one entry of the webhook-signature header.
type signFunc func(content string) string

func signV1(secret string) signFunc {
	return func(content string) string {
		key, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			return "v1,"
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(content))
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
}

func signV1a(private ed25519.PrivateKey) signFunc {
	return func(content string) string {
		return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(content)))
	}
}

// signedHeader returns the headers of a delivery, signed with each of the keys.
func signedHeader(id, timestamp, body string, signs ...signFunc) http.Header {
	var signatures []string
	for _, sign := range signs {
		signatures = append(signatures, sign(id+"."+timestamp+"."+body))
	}
	header := http.Header{}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", strings.Join(signatures, " "))
	return header
}

func exampleRequest(id, body string, signs ...signFunc) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(body))
	r.Header = signedHeader(id, fmt.Sprint(time.Now().Unix()), body, signs...)
	return r
}

// send delivers r to server and returns the status of the answer.
func send(server *httptest.Server, r *http.Request) string {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, server.URL+r.URL.Path, r.Body)
	if err != nil {
		return err.Error()
	}
	out.Header = r.Header
	answer, err := server.Client().Do(out)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.Status
}
