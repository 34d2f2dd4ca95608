package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// timeout(1) signals the process that it runs, and then the group, which the
// process belongs to. What 'listen' has to tidy up is tidied up all the same.
func TestASignalThatComesTwiceEndsACommandOnce(t *testing.T) {
	var cmd *exec.Cmd
	started, deleted := make(chan struct{}), false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/subscriptions", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[]}`)
	})
	mux.HandleFunc("POST /v1/subscriptions", func(w http.ResponseWriter, _ *http.Request) {
		<-started
		terminate(t, cmd)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"sub_019a9c1d2f3b5e8d7c6a4f10","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`)
	})
	mux.HandleFunc("POST /v1/subscriptions/{id}/test", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the signal breaks it off
	})
	mux.HandleFunc("DELETE /v1/subscriptions/{id}", func(w http.ResponseWriter, _ *http.Request) {
		terminate(t, cmd) // the first one has been seen: this request comes of it
		deleted = true
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	var said strings.Builder
	cmd = exec.CommandContext(t.Context(), os.Args[0], "listen", "--url", server.URL)
	cmd.Env = append(os.Environ(), "GRAPEVINE_TEST_PROGRAM=1", "GRAPEVINE_KEY=gv_test_0123456789abcdefghijABCDEFGHIJ0123456789")
	cmd.Stdout, cmd.Stderr = t.Output(), &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the command ended with %v; it said:\n%s", err, said.String())
	}
	server.Close()
	if !deleted || !strings.Contains(said.String(), "the subscription is deleted") {
		t.Errorf("deleted: %t; it said:\n%s", deleted, said.String())
	}
}

func terminate(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}
