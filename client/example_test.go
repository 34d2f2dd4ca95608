package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/grapevine-hq/grapevine/client"
)

// A publisher gives each event a key of its own, so that it can try again after
// any error without publishing twice.
func Example() {
	server := demoServer()
	defer server.Close()

	c, err := client.New(server.URL, "gv_live_yourkey")
	if err != nil {
		fmt.Println(err)
		return
	}
	published, err := c.Publish(context.Background(), client.Publication{
		Type:           "invoice.paid",
		Data:           map[string]any{"invoice": "inv_1", "amount": 4200},
		IdempotencyKey: "inv_1-paid",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(published.ID, "goes to", published.Deliveries, "subscriptions")
	// Output: evt_019a9c1d2f3b5e8d7c6a4f10 goes to 2 subscriptions
}

// A refusal has a stable code to decide by, and names the fields.
func ExampleError() {
	server := demoServer()
	defer server.Close()

	c, err := client.New(server.URL, "gv_live_yourkey")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.CreateSubscription(context.Background(), client.NewSubscription{EventTypes: []string{"*"}})
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Code == "invalid" {
		for _, f := range refusal.Fields {
			fmt.Println(f.Name, f.Message)
		}
	}
	// Output: url must not be empty
}

// Lists are gone through with range; the pages are read as they are needed.
func ExampleClient_AllDeliveries() {
	server := demoServer()
	defer server.Close()

	c, err := client.New(server.URL, "gv_live_yourkey")
	if err != nil {
		fmt.Println(err)
		return
	}
	for d, err := range c.AllDeliveries(context.Background(), client.DeliveryFilter{Status: client.Failed}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.EventType, d.Reason)
	}
	// Output: invoice.paid server_error
}

// demoServer answers as Grapevine would.
func demoServer() *httptest.Server {
	mux := http.NewServeMux()
	answer := func(pattern string, status int, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	answer("POST /v1/events", http.StatusAccepted, `{"id":"evt_019a9c1d2f3b5e8d7c6a4f10","type":"invoice.paid","timestamp":"2026-01-31T15:04:05Z","deliveries":2}`)
	answer("POST /v1/subscriptions", http.StatusUnprocessableEntity, `{"code":"invalid","detail":"url: must not be empty","errors":[{"field":"url","message":"must not be empty"}]}`)
	answer("GET /v1/deliveries", http.StatusOK, `{"data":[{"event_type":"invoice.paid","reason":"server_error","status":"failed"}]}`)
	return httptest.NewServer(mux)
}
