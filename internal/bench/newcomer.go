package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// newcomer is somebody who is going to sign up, by number. The same number always
// gives the same person.
type newcomer int

// user and account are the ids that the newcomer has in SaaSquatch's API, each in
// an account of their own.
func (n newcomer) user() string    { return fmt.Sprintf("u%08d", int(n)) }
func (n newcomer) account() string { return fmt.Sprintf("a%08d", int(n)) }

// Names are made of these, so that a million people have many namesakes and many
// different names, as people do.
var (
	firstNames = strings.Fields(`Ada Alan Amina Anders Anika Arjun Astrid Bao Beatriz Boris Carmen Chidi Clara Dalia
		Diego Edith Elias Emeka Erik Fatima Felix Freya Gita Hana Hugo Ines Ivan Jamal Jana Jonas Kaito Kira Lars Leila Linh
		Luca Maja Marek Mei Milan Nadia Niko Noor Olga Omar Pablo Petra Priya Quinn Rafael Rosa Samir Sana Signe Tariq Tomas
		Uma Vera Viktor Wanda Xenia Yara Yusuf Zoe`)
	begins = strings.Fields("Al Bar Car Del Er Fal Gar Hol Iv Jar Kal Lin Mar Nor Os Per")
	middle = strings.Fields("a an be den e el i in ko la mo ner o ra ti us")
	ends   = strings.Fields("berg by dahl ez feld ford holm ic kin lund man ov sen son ton wick")
)

// shuffled spreads numbers that follow each other, so that neighbours have nothing
// in common. No two numbers below 2^32 give the same.
func (n newcomer) shuffled() uint32 { return uint32(n) * 2_654_435_761 } //nolint:gosec // what is cut off is not missed

func (n newcomer) first() string { return pick(firstNames, n.shuffled()>>8) }

func (n newcomer) last() string {
	at := n.shuffled() >> 16
	return pick(begins, at) + pick(middle, at>>4) + pick(ends, at>>8)
}

func pick(of []string, at uint32) string { return of[int(at)%len(of)] }

// email is not an address that anybody has (RFC 2606).
func (n newcomer) email() string {
	return strings.ToLower(fmt.Sprintf("%s.%08x@%s.example", n.first(), n.shuffled(), n.last()))
}

// upsert is what SaaSquatch's API is told of somebody.
type upsert struct {
	ID         string      `json:"id"`
	AccountID  string      `json:"accountId"`
	FirstName  string      `json:"firstName"`
	LastName   string      `json:"lastName"`
	Email      string      `json:"email"`
	ReferredBy *referredBy `json:"referredBy,omitempty"`
}

type referredBy struct {
	Code string `json:"code"`
}

// body returns what the API is told of the newcomer, who came by a code; "": by
// none.
func (n newcomer) body(code string) ([]byte, error) {
	u := upsert{ID: n.user(), AccountID: n.account(), FirstName: n.first(), LastName: n.last(), Email: n.email()}
	if code != "" {
		u.ReferredBy = &referredBy{code}
	}
	return json.Marshal(u)
}

// member is somebody who has signed up.
type member struct {
	newcomer

	code string // by which others come
}

// crowd is everybody who has signed up, the earliest first.
type crowd struct {
	mu    sync.RWMutex
	known []member
}

// join adds somebody, and returns how many there are.
func (c *crowd) join(m member) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = append(c.known, m)
	return len(c.known)
}

// referrer returns one of the crowd, each as likely as the other, and the zero member
// while there is nobody. So a referrer brings one other on average, and few more than
// a handful: who brought hundreds in a minute would be held for a fraud, with all the
// work that this is.
func (c *crowd) referrer(dice *rand.Rand) member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.known) == 0 {
		return member{}
	}
	return c.known[dice.IntN(len(c.known))]
}

// dice chooses referrers, the same for the same seed. One goroutine may use it at a
// time.
func dice(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // nobody has to guess it
}

// sample returns n of the crowd, evenly spread over it and in no order, or all if
// they are fewer.
func (c *crowd) sample(n int) []member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n = min(n, len(c.known))
	some := make([]member, n)
	for i := range some {
		some[i] = c.known[i*len(c.known)/n]
	}
	rand.Shuffle(n, func(i, j int) { some[i], some[j] = some[j], some[i] }) //nolint:gosec // nobody has to guess it
	return some
}
