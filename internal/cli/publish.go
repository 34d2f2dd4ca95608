package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

type eventPublish struct {
	Type      string  `arg:"" optional:"" help:"What has happened, such as invoice.paid."`
	Data      string  `arg:"" optional:"" help:"The event's data: a JSON object, a file that has one (@FILE), or - for the standard input."`
	Timestamp *moment `placeholder:"TIME" help:"When it happened: a time, or how long ago; now, unless this is given."`
	Dialect   string  `placeholder:"NAME" help:"Whose event it is; standard unless said otherwise."`
	fieldFlags
	SubjectVersion int64  `placeholder:"N" help:"How often what the event is about has changed: receivers can tell by it which of two events is the later."`
	IdempotencyKey string `placeholder:"KEY" help:"Publish once, however often this is repeated with the same key."`
	Batch          string `placeholder:"FILE" help:"Publish what a file has, an event a line, as JSON like the API takes it: {\"type\":…,\"data\":…}. - is the standard input."`
	output
	tenantConnection
}

// Validate checks that there is something to publish.
func (c *eventPublish) Validate() error {
	switch {
	case c.Batch != "" && (c.Type != "" || c.Timestamp != nil || c.Dialect != "" || len(c.Field) > 0 || c.SubjectVersion != 0):
		return usagef("with --batch the file says what is published: give no type, data, time, dialect, field or version")
	case c.SubjectVersion < 0:
		return usagef("--subject-version must be at least 1")
	case c.Batch == "" && (c.Type == "" || c.Data == ""):
		return usagef("give the event's type and its data, as in: grapevine event publish invoice.paid '{\"amount\":4200}'")
	}
	return nil
}

// Run publishes.
func (c *eventPublish) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if c.Batch != "" {
		return c.publishFile(e, api)
	}
	fields, err := c.fields()
	if err != nil {
		return err
	}
	data, err := e.readJSON("the data", c.Data)
	if err != nil {
		return err
	}
	p := client.Publication{
		Type: c.Type, Data: data, Dialect: c.Dialect, Fields: fields, SubjectVersion: c.SubjectVersion, IdempotencyKey: c.IdempotencyKey,
	}
	if c.Timestamp != nil {
		p.Timestamp = c.Timestamp.UTC()
	}
	published, err := api.Publish(e.ctx, p)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(published)
	}
	showPublished(e, published)
	if published.Deliveries == 0 {
		e.note("No subscription takes this type. Make one with 'grapevine subscription create', or look on with 'grapevine listen'.")
	}
	return nil
}

func showPublished(e *env, p client.Published) {
	suffix := ""
	if p.Replayed {
		suffix = ", by an earlier request with the same key"
	}
	fmt.Fprintf(e.out, "%s  %s  to %s%s\n", p.ID, printable(p.Type), plural(p.Deliveries, "subscription"), suffix)
}

// What one request may hold; the API takes 1,000 events in 5 MiB.
const (
	batchEvents = 1000
	batchBytes  = 4 << 20
)

// publishFile publishes the lines of a file in batches, each all or none, and
// says how far it came.
func (c *eventPublish) publishFile(e *env, api *client.Client) error {
	source, err := c.open(e)
	if err != nil {
		return err
	}
	defer source.Close()
	lines := batchReader{in: bufio.NewReader(source)}
	line := newProgress(e.err)
	defer line.clear()
	published := 0
	for number := 1; ; number++ {
		batch, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			if c.IdempotencyKey != "" {
				batch[0].IdempotencyKey = fmt.Sprintf("%s-%d", c.IdempotencyKey, number)
			}
			err = c.publishBatch(e, api, batch)
		}
		if err != nil {
			line.clear()
			e.note("%s of the file were published, and no later one.", plural(published, "event"))
			return err
		}
		published += len(batch)
		line.show("%s published", plural(published, "event"))
	}
	line.clear()
	if published == 0 {
		return usagef("there are no events in %s", c.from())
	}
	if !c.JSON {
		fmt.Fprintf(e.out, "Published %s.\n", plural(published, "event"))
	}
	return nil
}

// from says where the events are read.
func (c *eventPublish) from() string {
	if c.Batch == "-" {
		return "the standard input"
	}
	return c.Batch
}

func (c *eventPublish) open(e *env) (io.ReadCloser, error) {
	if c.Batch == "-" {
		return io.NopCloser(e.in), nil
	}
	f, err := os.Open(c.Batch)
	if err != nil {
		return nil, usagef("--batch: %v", err)
	}
	return f, nil
}

func (c *eventPublish) publishBatch(e *env, api *client.Client, batch []client.Publication) error {
	answers, err := api.PublishBatch(e.ctx, batch)
	if err != nil {
		return err
	}
	if !c.JSON {
		return nil
	}
	for _, published := range answers {
		if err := e.line(published); err != nil {
			return err
		}
	}
	return nil
}

// batchReader reads events, one a line. A line that is not one ends the reading;
// what stood before it in its batch is not published.
type batchReader struct {
	in   *bufio.Reader
	line int
	kept []byte // a line that had no room in the batch before
}

// next returns the next batch, or io.EOF.
func (r *batchReader) next() ([]client.Publication, error) {
	var batch []client.Publication
	for size := 0; len(batch) < batchEvents; {
		text, err := r.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("--batch: %w", err)
		}
		if len(text) == 0 { // the end
			break
		}
		if size += len(text); size > batchBytes && len(batch) > 0 {
			r.kept = text
			break
		}
		p, err := readPublication(text)
		if err != nil {
			return nil, usagef("--batch: line %d: %v", r.line, err)
		}
		batch = append(batch, p)
	}
	if len(batch) == 0 {
		return nil, io.EOF
	}
	return batch, nil
}

// read returns the next line that is not empty.
func (r *batchReader) read() ([]byte, error) {
	if kept := r.kept; kept != nil {
		r.kept = nil
		return kept, nil
	}
	for {
		text, err := r.in.ReadBytes('\n')
		r.line++
		if text = bytes.TrimSpace(text); len(text) > 0 || err != nil {
			return text, err
		}
	}
}

// readPublication reads an event as the API takes it. The data stays as it is.
// In another dialect than standard the members that every event has stand beside
// fields of the envelope; which ones there may be, the server knows.
func readPublication(text []byte) (client.Publication, error) {
	var p struct {
		Type           string          `json:"type"`
		Data           json.RawMessage `json:"data"`
		Timestamp      time.Time       `json:"timestamp"`
		Dialect        string          `json:"dialect"`
		SubjectVersion int64           `json:"subject_version"`
	}
	var fields map[string]string
	if json.Unmarshal(text, &p) == nil && p.Dialect != "" && p.Dialect != standardDialect {
		var err error
		if text, fields, err = splitFields(text); err != nil {
			return client.Publication{}, err
		}
	}
	if err := decodeStrictly(text, &p); err != nil {
		return client.Publication{}, err
	}
	if p.Type == "" || p.Data == nil {
		return client.Publication{}, errors.New(`an event needs "type" and "data"`)
	}
	return client.Publication{
		Type: p.Type, Data: p.Data, Timestamp: p.Timestamp, Dialect: p.Dialect, Fields: fields, SubjectVersion: p.SubjectVersion,
	}, nil
}

// splitFields parts the members that every event has from those of an envelope.
func splitFields(text []byte) ([]byte, map[string]string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, nil, err
	}
	fields := make(map[string]string)
	for name, value := range members {
		switch name {
		case "type", "data", "timestamp", "dialect", "subject_version":
			continue
		}
		var field string
		if json.Unmarshal(value, &field) != nil {
			return nil, nil, fmt.Errorf("the field %q must be text", name)
		}
		fields[name] = field
		delete(members, name)
	}
	rest, err := json.Marshal(members)
	return rest, fields, err
}
