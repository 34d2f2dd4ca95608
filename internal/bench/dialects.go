package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// spoken is an event of a dialect with room for text.
type spoken struct {
	dialect, eventType string
	head, tail         string // of the publication, around the text
}

var languages = []spoken{
	{
		"saasquatch", "email.referral.paid",
		`"data":{"recipientUserId":"u1234","recipientAccountId":"a1234","subject":"Congratulations!","message":"`, `"}}`,
	},
	{
		"referralloop", "signup.created",
		`"waitlist_id":"123e4567-e89b-12d3-a456-426614174000","data":{"id":"789e0123-e89b-12d3-a456-426614174000",` +
			`"email":"user@example.com","position":1,"referral_code":"ABC123","created_at":"2024-01-15T10:00:00Z","name":"`, `"}}`,
	},
	{
		"rehook", "order_success",
		`"source_id":"KMN@123","data":{"mode":"CARD","total":549,"note":"`, `"}}`,
	},
	{
		"partnerstack", "message.created",
		`"data":{"team":{"name":"Acme Co","key":"stck_1"},"partnership":{"partner_key":"ash","key":"part_1"},` +
			`"group":{"name":"Referral","key":"grup_1","slug":"referral"},` +
			`"team_member":{"first_name":"Ash","last_name":"Ketchum","email":"ash@example.com"},"timestamp":1714588511639,"message":"`, `"}}`,
	},
}

// dialects publishes events of each dialect, before and after those of the
// standard one, to whose rate each is held; then SaaSquatch's again with RS256
// signatures, held to how many of those the machine makes when it does nothing
// else.
func (b *bench) dialects(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	if err := r.speak(ctx); err != nil {
		return nil, err
	}
	n := max(b.opts.Events/4, 20)
	standard := &Result{Name: "dialect-standard"}
	if _, err := r.flood(ctx, standard, n, 1); err != nil {
		return nil, err
	}
	results := []*Result{standard}
	for _, in := range languages {
		result := &Result{Name: "dialect-" + in.dialect}
		if err := r.floodIn(ctx, in, result, n); err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	again := &Result{Name: "dialect-standard-again"}
	if _, err := r.flood(ctx, again, n, 1); err != nil {
		return nil, err
	}
	rate := (standard.rate() + again.rate()) / 2
	for _, result := range results[1:] {
		share := result.rate() / rate
		result.figure("share_of_standard", share, "")
		if !b.opts.Postgres {
			result.atLeast("delivered, as a share of the standard dialect", share, 0.75, "")
		}
	}
	signed, err := r.signed(ctx, max(n/4, 20))
	return append(results, again, signed), err
}

// speak gives the tenant what the dialects need and subscribes the receiver's
// first endpoint in each. Its standard subscription is to other types.
func (r *rig) speak(ctx context.Context) error {
	_, err := r.operator.CreateKey(ctx, r.tenantID, client.NewKey{Dialect: "saasquatch", Scopes: []client.Scope{client.ScopeManage}})
	if err != nil {
		return err
	}
	for _, in := range languages {
		_, err := r.tenant.CreateSubscription(ctx, client.NewSubscription{
			Dialect: in.dialect, URL: r.receiver.endpoint(0), EventTypes: []string{in.eventType},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// floodIn is flood with events of a dialect. The receiver verifies no signatures
// of them.
func (r *rig) floodIn(ctx context.Context, in spoken, result *Result, n int) error {
	standard, secret := r.events, r.secret
	defer func() { r.events, r.secret = standard, secret }()
	r.secret, result.unverified = "", true
	r.events = &target{
		urls: standard.urls, header: standard.header, quoted: true,
		head: fmt.Appendf(nil, `{"dialect":%q,"type":%q,%s`, in.dialect, in.eventType, in.head), tail: []byte(in.tail),
	}
	if _, err := r.flood(ctx, result, n, 1); err != nil {
		return err
	}
	left, err := r.undelivered(ctx)
	result.atMost("deliveries that did not end as delivered", float64(left), 0)
	return err
}

// undelivered returns how many deliveries have not ended as delivered, one page of
// each kind, after what has arrived has had time to be recorded.
func (r *rig) undelivered(ctx context.Context) (int, error) {
	left := 0
	for range 50 {
		left = 0
		for _, status := range []client.DeliveryStatus{"pending", "failed", "cancelled", "held"} {
			list, err := r.tenant.Deliveries(ctx, client.DeliveryFilter{Status: status}, client.Page{})
			if err != nil {
				return 0, err
			}
			left += len(list.Data)
		}
		if left == 0 || !sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	return left, ctx.Err()
}

// signed delivers SaaSquatch's events with RS256 signatures.
func (r *rig) signed(ctx context.Context, n int) (*Result, error) {
	if _, err := r.tenant.SetDialectSettings(ctx, "saasquatch", map[string]string{"jws": "on"}); err != nil {
		return nil, err
	}
	r.show("RS256 alone")
	before, err := signing(ctx, 2*time.Second)
	if err != nil {
		return nil, err
	}
	result := &Result{Name: "dialect-saasquatch-rs256"}
	if err := r.floodIn(ctx, languages[0], result, n); err != nil {
		return nil, err
	}
	after, err := signing(ctx, 2*time.Second)
	if err != nil {
		return nil, err
	}
	alone := (before + after) / 2 // the machine's speed changes
	share := result.rate() / alone
	result.figure("rs256_alone", alone, "/s")
	result.figure("share_of_rs256_alone", share, "")
	if !r.opts.Postgres {
		result.atLeast("delivered, as a share of what the machine signs", share, 0.6, "")
	}
	return result, nil
}

// signing returns how many RS256 signatures a second all cores make.
func signing(ctx context.Context, d time.Duration) (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte(filler))
	var made atomic.Int64
	var failed atomic.Pointer[error]
	var working sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
					failed.Store(&err)
					return
				}
				made.Add(1)
			}
		})
	}
	working.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(made.Load()) / time.Since(start).Seconds(), ctx.Err()
}
