package condition

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// path is where a value stands.
type path struct {
	text  string // as it is written
	steps []string
}

// maxSteps bounds a path, in steps.
const maxSteps = 50

// readPath takes a path apart. The error does not repeat it.
func readPath(text string) (path, error) {
	var steps []string
	var step strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '.':
			steps = append(steps, step.String())
			step.Reset()
		case text[i] != '\\':
			step.WriteByte(text[i])
		case i+1 == len(text):
			return path{}, errors.New("ends with a backslash, which takes the character after it as it is")
		default:
			i++
			step.WriteByte(text[i])
		}
	}
	steps = append(steps, step.String())
	if slices.Contains(steps, "") {
		return path{}, errors.New("must be a path: names with full stops between, such as data.items.0.sku")
	}
	if len(steps) > maxSteps {
		return path{}, errors.New("is a path of more than 50 steps")
	}
	return path{text: text, steps: steps}, nil
}

// find returns what stands at the path.
func (p path) find(of SourceFunc) (any, bool) {
	found, ok := of(p.steps[0])
	if !ok {
		return nil, false
	}
	return at(found, p.steps[1:])
}

func at(found any, steps []string) (any, bool) {
	for _, step := range steps {
		switch v := found.(type) {
		case map[string]any:
			below, ok := v[step]
			if !ok {
				return nil, false
			}
			found = below
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) || step != strconv.Itoa(i) {
				return nil, false
			}
			found = v[i]
		default:
			return nil, false
		}
	}
	return found, true
}

// Path is a path below a document, without the root.
type Path struct{ steps []string }

// ReadPath reads a path such as items.0.sku. The error does not repeat it.
func ReadPath(text string) (Path, error) {
	p, err := readPath(text)
	return Path{p.steps}, err
}

// In returns what stands at the path in a document, as encoding/json has read it.
func (p Path) In(document any) (any, bool) { return at(document, p.steps) }
