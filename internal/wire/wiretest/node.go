package wiretest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// stringifyScript reads an array of JSON texts and answers with each as it is
// once it was parsed and written again.
const stringifyScript = `
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(texts.map((text) => JSON.stringify(JSON.parse(text)))));`

// MustStringify returns each JSON text as a JavaScript engine writes it again,
// JSON.stringify(JSON.parse(text)). The texts are in UTF-8. Without node the test
// is skipped, or fails where CI=true.
func MustStringify(t testing.TB, texts [][]byte) []string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") == "true" { //nolint:forbidigo // it is the tests that ask
			t.Fatalf("'make tools' did not install what this test needs: %v", err)
		}
		t.Skipf("needs node, which 'make tools' installs: %v", err)
	}
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = string(text)
	}
	input, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "-e", stringifyScript)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), t.Output()
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var written []string
	if err := json.Unmarshal(output, &written); err != nil || len(written) != len(texts) {
		t.Fatalf("node answered for %d of %d texts: %v", len(written), len(texts), err)
	}
	return written
}
