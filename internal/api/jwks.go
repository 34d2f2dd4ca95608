package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// SigningKeys are the server's own keys, whose public halves receivers look up.
type SigningKeys interface {
	// Set returns the public halves as a JSON Web Key Set.
	Set(ctx context.Context, now time.Time) ([]byte, error)
	// Rotate makes the key that signs from now on.
	Rotate(ctx context.Context) (*wire.RSAKey, error)
}

type signingKeyJSON struct {
	ID string `json:"kid" doc:"Under which receivers find its public half." example:"019a9c1d2f3b5e8d7c6a4f10"`
}

func (s *server) signingKeyRoutes() {
	s.mux.HandleFunc("GET /.well-known/jwks.json", s.keySet)
	register(s, route{
		id: "rotate-signing-key", method: http.MethodPost, path: "/v1/jwks/rotate", tag: tagOperation, access: operatorOnly,
		summary: "Replace the server's signing key",
		description: "Makes another RSA key, which signs from now on where a tenant has a dialect sign with the server's key. " +
			"Receivers find its public half at /.well-known/jwks.json, and that of the old one for 30 days more.",
		status: http.StatusCreated,
	}, s.rotateSigningKey)
}

// keySet answers receivers, who have no key of ours.
func (s *server) keySet(w http.ResponseWriter, r *http.Request) {
	set, err := s.opts.SigningKeys.Set(r.Context(), time.Now())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(set) // fails only if the caller has gone
}

func (s *server) rotateSigningKey(ctx context.Context, _ request[none, none]) (signingKeyJSON, error) {
	key, err := s.opts.SigningKeys.Rotate(ctx)
	if err != nil {
		return signingKeyJSON{}, err
	}
	return signingKeyJSON{ID: key.ID}, nil
}
