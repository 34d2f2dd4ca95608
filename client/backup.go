package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
)

// Backup is a copy of a server's database on its way: an SQLite file. Read it to
// its end, which is io.EOF only if every byte has arrived unchanged; any other
// error means that what was read is no backup. Close it in any case.
type Backup struct {
	Size   int64  // in bytes
	SHA256 string // hexadecimal

	body io.ReadCloser
	sum  hash.Hash
	left int64
}

// Backup asks the server for a copy of its database. It takes the operator's
// key. It returns when the server has made the copy, which may take minutes, and
// is ended by ctx alone: the client's timeout does not count here.
func (c *Client) Backup(ctx context.Context) (*Backup, error) {
	backup := call{method: http.MethodPost, path: "/v1/backup"}
	req, err := c.request(ctx, backup)
	if err != nil {
		return nil, err
	}
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", backup.method, backup.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		err := refusal(resp)
		_ = resp.Body.Close()
		return nil, err
	}
	digest, err := readDigest(resp.Header.Values("Content-Digest"))
	if err == nil && resp.ContentLength < 0 {
		err = errors.New("client: the answer does not say how long the backup is")
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return &Backup{Size: resp.ContentLength, SHA256: hex.EncodeToString(digest), body: resp.Body, sum: sha256.New(), left: resp.ContentLength}, nil
}

// readDigest returns the SHA-256 of a Content-Digest (RFC 9530).
func readDigest(headers []string) ([]byte, error) {
	for member := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:")
		if !ok {
			continue
		}
		digest, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, ":"))
		if err == nil && len(digest) == sha256.Size {
			return digest, nil
		}
	}
	return nil, errors.New("client: the answer has no digest to check the backup with")
}

// Read reads the next part of the copy.
func (b *Backup) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.left -= int64(n)
	b.sum.Write(p[:n])
	if err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) || b.left != 0 {
		return n, fmt.Errorf("client: the backup broke off, %d bytes before its end: %w", b.left, notEOF(err))
	}
	if hex.EncodeToString(b.sum.Sum(nil)) != b.SHA256 {
		return n, errors.New("client: the backup was changed on its way: its digest differs")
	}
	return n, io.EOF
}

// notEOF keeps an end that came too early from being taken for the right one.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close ends the transfer.
func (b *Backup) Close() error { return b.body.Close() }
