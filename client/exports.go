package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ExportStatus is where an export stands.
type ExportStatus string

// The states of an export.
const (
	ExportPending   ExportStatus = "pending" // being written, or about to be
	ExportCompleted ExportStatus = "completed"
	ExportAborted   ExportStatus = "aborted" // cancelled before it was completed
	ExportExpired   ExportStatus = "expired" // its file was deleted
)

// ExportChoice says which rows an export has. Zero fields choose all.
type ExportChoice struct {
	Program                string    `json:"program,omitempty"` // its key or id, where rows belong to one
	CreatedSince           time.Time `json:"created_since,omitzero"`
	CreatedBefore          time.Time `json:"created_before,omitzero"`
	UpdatedSince           time.Time `json:"updated_since,omitzero"`
	UpdatedBefore          time.Time `json:"updated_before,omitzero"`
	CreatedOrUpdatedSince  time.Time `json:"created_or_updated_since,omitzero"`
	CreatedOrUpdatedBefore time.Time `json:"created_or_updated_before,omitzero"`
}

// NewExport is an export to ask for. Type is required.
type NewExport struct {
	Type string `json:"type"` // such as "REFERRAL"
	Name string `json:"name,omitempty"`
	ExportChoice
}

// Export is a file that was asked for.
type Export struct {
	ID     string       `json:"id"`
	Type   string       `json:"type"`
	Name   string       `json:"name,omitempty"`
	Status ExportStatus `json:"status"`
	ExportChoice
	Requester   string    `json:"requester,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"` // when the file is deleted
	Rows        int64     `json:"rows,omitempty"`      // without the header
	Bytes       int64     `json:"bytes,omitempty"`
}

// CreateExport has rows written to a file.
func (c *Client) CreateExport(ctx context.Context, n NewExport) (Export, error) {
	return one[Export](ctx, c, call{method: http.MethodPost, path: "/v1/exports", body: n})
}

// Exports returns a page of exports, the newest first.
func (c *Client) Exports(ctx context.Context, page Page) (List[Export], error) {
	return list[Export](ctx, c, "/v1/exports", url.Values{}, page)
}

// AllExports goes through all exports.
func (c *Client) AllExports(ctx context.Context) iter.Seq2[Export, error] {
	return all(func(p Page) (List[Export], error) { return c.Exports(ctx, p) })
}

// Export returns an export.
func (c *Client) Export(ctx context.Context, id string) (Export, error) {
	return one[Export](ctx, c, call{method: http.MethodGet, path: path("/v1/exports/", id)})
}

// CancelExport ends an export that is being written.
func (c *Client) CancelExport(ctx context.Context, id string) (Export, error) {
	return one[Export](ctx, c, call{method: http.MethodPost, path: path("/v1/exports/", id, "/cancel")})
}

// DownloadExport returns the file of an export that is completed, as CSV. Reading it
// ends with an error that is not io.EOF unless all of it has arrived. Close it in any
// case. It is ended by ctx alone: the client's timeout does not count here.
func (c *Client) DownloadExport(ctx context.Context, id string) (io.ReadCloser, error) {
	download := call{method: http.MethodGet, path: path("/v1/exports/", id, "/file")}
	req, err := c.request(ctx, download)
	if err != nil {
		return nil, err
	}
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", download.method, download.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		err := refusal(resp)
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}
