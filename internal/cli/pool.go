package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// poolCommands are about pools of codes.
type poolCommands struct {
	Add  poolAdd  `cmd:"" help:"Add codes to a pool, which is made if there is none. It can be repeated: codes that it has are passed over."`
	List poolList `cmd:"" help:"List the pools."`
	Show poolShow `cmd:"" aliases:"get" help:"Show how much of a pool is left."`
}

// poolArgument names a pool.
type poolArgument struct {
	Pool string `arg:"" help:"The pool's key, by which rules name it."`
}

type poolAdd struct {
	poolArgument
	Codes string `arg:"" help:"Codes, one a line: a file (@FILE), - for the standard input, or a single one."`
	output
	tenantConnection
}

// maxCodesAtOnce is how many codes one call takes.
const maxCodesAtOnce = 10_000

// Run adds codes.
func (c *poolAdd) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	text, err := e.read(c.Codes)
	if err != nil {
		return usagef("the codes: %v", err)
	}
	var codes []string
	for line := range strings.Lines(string(text)) {
		if code := strings.TrimSpace(line); code != "" {
			codes = append(codes, code)
		}
	}
	if len(codes) == 0 {
		return usagef("there are no codes: give one a line")
	}
	var whole client.AddedCodes
	for first := 0; first < len(codes); first += maxCodesAtOnce {
		added, err := api.AddCodes(e.ctx, c.Pool, codes[first:min(first+maxCodesAtOnce, len(codes))])
		if err != nil {
			return fmt.Errorf("after %s: %w", plural(first, "code"), err)
		}
		whole.Pool = added.Pool
		whole.Added += added.Added
		whole.Duplicates = append(whole.Duplicates, added.Duplicates...)
	}
	if c.JSON {
		return e.document(whole)
	}
	s := newSheet(e.out)
	s.field("added", strconv.Itoa(whole.Added))
	if n := len(whole.Duplicates); n > 0 {
		s.field("passed over", plural(n, "code")+" that it had, such as "+whole.Duplicates[0])
	}
	showPool(s, whole.Pool)
	return nil
}

func showPool(s sheet, p client.Pool) {
	s.field("id", p.ID)
	s.field("key", p.Key)
	s.field("left", strconv.FormatInt(p.Left, 10))
	s.field("given", strconv.FormatInt(p.Given, 10))
	s.field("created", when(p.CreatedAt))
}

type poolList struct {
	output
	tenantConnection
}

// Run lists pools.
func (c *poolList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Pool]{
		get: func(client.Page) (client.List[client.Pool], error) {
			pools, err := api.Pools(e.ctx)
			return client.List[client.Pool]{Data: pools}, err
		},
		widths: []int{29, 19, 8, 8}, header: []string{"ID", "CREATED", "LEFT", "GIVEN", "KEY"},
		row: func(p client.Pool) []cell {
			left := cell{strconv.FormatInt(p.Left, 10), plain}
			if p.Left == 0 {
				left.colour = red
			}
			return []cell{{p.ID, plain}, {when(p.CreatedAt), dim}, left, {strconv.FormatInt(p.Given, 10), plain}, {p.Key, plain}}
		},
	}.show(e, listing{output: c.output, All: true})
}

type poolShow struct {
	poolArgument
	output
	tenantConnection
}

// Run shows a pool.
func (c *poolShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	p, err := api.Pool(e.ctx, c.Pool)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(p)
	}
	showPool(newSheet(e.out), p)
	return nil
}
