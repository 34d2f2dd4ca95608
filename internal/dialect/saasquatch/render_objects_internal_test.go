package saasquatch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/export"
)

func TestAnExportsEventHasTheParamsOfThePageAndTheAnswerAll(t *testing.T) {
	e := &export.Export{Type: "USER", Params: export.Params{
		ProgramID: "classic", Fields: map[string]bool{"includeUserFields": true}, CreatedSince: time.UnixMilli(1467223738947),
	}}
	written := func(of exportJSON) string {
		text, err := json.Marshal(of.Params)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const page = `{"createdSince":1467223738947,"createdBefore":null,"updatedSince":null,"updatedBefore":null,` +
		`"createdOrUpdatedSince":null,"createdOrUpdatedBefore":null}`
	if got := written(exportTold(e)); got != page {
		t.Errorf("the event says %s", got)
	}
	if got := written(exportOf(e)); !strings.Contains(got, `"programId":"classic"`) || !strings.Contains(got, "includeUserFields") {
		t.Errorf("the answer says %s", got)
	}
}
