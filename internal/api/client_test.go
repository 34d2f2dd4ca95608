package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// jsonFields lists the names of a type's fields in JSON.
func jsonFields(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTheClientHasEveryFieldOfTheDocumentAndNoOther(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(MustWorld(t, nil).send(http.MethodGet, "/openapi.json", "", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{
		"AuditEntry": reflect.TypeFor[client.AuditEntry](), "AuditEntryPage": reflect.TypeFor[client.List[client.AuditEntry]](),
		"AuditActor": reflect.TypeFor[client.AuditActor](), "AuditField": reflect.TypeFor[client.AuditField](),
		"Attempt": reflect.TypeFor[client.Attempt](), "Auth": reflect.TypeFor[client.Auth](), "ShownAuth": reflect.TypeFor[client.Auth](), "ChangeTenant": reflect.TypeFor[client.TenantChange](),
		"Certificate": reflect.TypeFor[client.Certificate](), "CreatedKey": reflect.TypeFor[client.CreatedKey](), "CreatedTenant": reflect.TypeFor[client.CreatedTenant](),
		"Delivery": reflect.TypeFor[client.Delivery](), "DeliveryPage": reflect.TypeFor[client.List[client.Delivery]](),
		"Event": reflect.TypeFor[client.Event](), "EventPage": reflect.TypeFor[client.List[client.Event]](),
		"Health":      reflect.TypeFor[client.Health](),
		"Explanation": reflect.TypeFor[client.Explanation](), "ConditionOutcome": reflect.TypeFor[client.ConditionOutcome](),
		"DialectOutcome": reflect.TypeFor[client.DialectOutcome](), "TypeOutcome": reflect.TypeFor[client.TypeOutcome](), "PatternOutcome": reflect.TypeFor[client.PatternOutcome](),
		"NewEventType": reflect.TypeFor[client.NewEventType](), "EventTypeVersions": reflect.TypeFor[client.EventTypeVersions](),
		"OwnEventType": reflect.TypeFor[client.EventTypeVersion](), "RegisteredType": reflect.TypeFor[client.EventTypeVersion](),
		"Variant": reflect.TypeFor[client.Variant](), "Remark": reflect.TypeFor[client.Remark](),
		"EventType": reflect.TypeFor[client.EventType](), "EventTypePage": reflect.TypeFor[client.List[client.EventType]](),
		"InvalidField": reflect.TypeFor[client.Field](), "FullDelivery": reflect.TypeFor[client.FullDelivery](), "FullEvent": reflect.TypeFor[client.FullEvent](),
		"ResponseHeader": reflect.TypeFor[client.Header](), "Key": reflect.TypeFor[client.Key](), "KeyPage": reflect.TypeFor[client.List[client.Key]](),
		"NewKey": reflect.TypeFor[client.NewKey](), "NewSubscription": reflect.TypeFor[client.NewSubscription](), "NewTenant": reflect.TypeFor[client.NewTenant](),
		"Policy": reflect.TypeFor[client.Policy](), "ShownPolicy": reflect.TypeFor[client.Policy](), "Publication": reflect.TypeFor[client.Publication](), "Published": reflect.TypeFor[client.Published](),
		"AttemptResponse": reflect.TypeFor[client.Response](), "Secret": reflect.TypeFor[client.Secret](),
		"Secrets": reflect.TypeFor[client.Secrets](), "Subscription": reflect.TypeFor[client.Subscription](),
		"SubscriptionPage":       reflect.TypeFor[client.List[client.Subscription]](),
		"SubscriptionWithSecret": reflect.TypeFor[client.SubscriptionWithSecret](),
		"Dialect":                reflect.TypeFor[client.Dialect](), "DialectPage": reflect.TypeFor[client.List[client.Dialect]](),
		"Setting": reflect.TypeFor[client.Setting](), "Field": reflect.TypeFor[client.DialectField](),
		"DialectSettings": reflect.TypeFor[client.DialectSettings](), "ChosenSetting": reflect.TypeFor[client.ChosenSetting](),
		"SigningKey": reflect.TypeFor[client.SigningKey](),
		"Tenant":     reflect.TypeFor[client.Tenant](), "TenantPage": reflect.TypeFor[client.List[client.Tenant]](),
		"Replay": reflect.TypeFor[client.Replay](), "ReplayPage": reflect.TypeFor[client.List[client.Replay]](),
		"NewReplay": reflect.TypeFor[client.NewReplay](), "ReplayCount": reflect.TypeFor[client.ReplayCount](),
		"EnabledSubscription": reflect.TypeFor[client.EnabledSubscription](), "Missed": reflect.TypeFor[client.Missed](),
		"Program":           reflect.TypeFor[client.Program](),
		"ProgramPage":       reflect.TypeFor[client.List[client.Program]](),
		"NewProgram":        reflect.TypeFor[client.NewProgram](),
		"RuleSet":           reflect.TypeFor[client.RuleSet](),
		"RuleSetPage":       reflect.TypeFor[client.List[client.RuleSet]](),
		"Validation":        reflect.TypeFor[client.Validation](),
		"DryRun":            reflect.TypeFor[client.DryRun](),
		"DryRunOn":          reflect.TypeFor[client.DryRunActivity](),
		"Tried":             reflect.TypeFor[client.TriedRule](),
		"RuleEffect":        reflect.TypeFor[client.RuleEffect](),
		"RuleLimit":         reflect.TypeFor[client.RuleLimit](),
		"RuleWait":          reflect.TypeFor[client.RuleWait](),
		"RuleCondition":     reflect.TypeFor[client.RuleCondition](),
		"Person":            reflect.TypeFor[client.Person](),
		"Profile":           reflect.TypeFor[client.Profile](),
		"ProfilePage":       reflect.TypeFor[client.List[client.Profile]](),
		"ReportedPerson":    reflect.TypeFor[client.Profile](),
		"ReportPerson":      reflect.TypeFor[client.PersonReport](),
		"Code":              reflect.TypeFor[client.Code](),
		"Activity":          reflect.TypeFor[client.Activity](),
		"ActivityPage":      reflect.TypeFor[client.List[client.Activity]](),
		"NewActivity":       reflect.TypeFor[client.NewActivity](),
		"ReportedActivity":  reflect.TypeFor[client.ReportedActivity](),
		"Chapter":           reflect.TypeFor[client.Chapter](),
		"ChapterPage":       reflect.TypeFor[client.List[client.Chapter]](),
		"Account":           reflect.TypeFor[client.Account](),
		"SetAccount":        reflect.TypeFor[client.AccountReport](),
		"AccountWithPeople": reflect.TypeFor[client.AccountWithPeople](),
		"CodeWithPerson":    reflect.TypeFor[client.CodeOwner](),
		"CodeLinks":         reflect.TypeFor[client.Links](),
		"Referral":          reflect.TypeFor[client.Referral](),
		"ReferralPage":      reflect.TypeFor[client.List[client.Referral]](),
		"Moderation":        reflect.TypeFor[client.Moderation](),
		"Signal":            reflect.TypeFor[client.Signal](),
		"Evidence":          reflect.TypeFor[client.Evidence](),
		"FullReferral":      reflect.TypeFor[client.FullReferral](),
		"ModerationAction":  reflect.TypeFor[client.ModerationAction](),
		"Reward":            reflect.TypeFor[client.Reward](),
		"RewardPage":        reflect.TypeFor[client.List[client.Reward]](),
		"GiveReward":        reflect.TypeFor[client.NewReward](),
		"Redeem":            reflect.TypeFor[client.Redemption](),
		"Spend":             reflect.TypeFor[client.Spending](),
		"Spent":             reflect.TypeFor[client.Spent](),
		"Identity":          reflect.TypeFor[client.Identity](),
		"AddIdentity":       reflect.TypeFor[client.Identity](),
		"Touch":             reflect.TypeFor[client.Touch](),
		"Balance":           reflect.TypeFor[client.Balance](),
		"Fact":              reflect.TypeFor[client.Fact](),
		"FactPage":          reflect.TypeFor[client.List[client.Fact]](),
		"Subject":           reflect.TypeFor[client.Subject](),
		"Trace":             reflect.TypeFor[client.Trace](),
		"Undo":              reflect.TypeFor[client.Undoing](),
		"Why":               reflect.TypeFor[client.Why](),
		"WhyProgram":        reflect.TypeFor[client.WhyProgram](),
		"WhyAttribution":    reflect.TypeFor[client.WhyAttribution](),
		"WhyPassed":         reflect.TypeFor[client.WhyPassed](),
		"WhyReferral":       reflect.TypeFor[client.WhyReferral](),
		"WhyModeration":     reflect.TypeFor[client.WhyModeration](),
		"WhyRule":           reflect.TypeFor[client.WhyRule](),
		"WhyOutcome":        reflect.TypeFor[client.WhyOutcome](),
		"WhyTrigger":        reflect.TypeFor[client.WhyTrigger](),
		"WhyReward":         reflect.TypeFor[client.WhyReward](),
		"WhyLimit":          reflect.TypeFor[client.WhyLimit](),
		"WhyFact":           reflect.TypeFor[client.WhyFact](),
		"Pool":              reflect.TypeFor[client.Pool](),
		"PoolPage":          reflect.TypeFor[client.List[client.Pool]](),
		"AddedCodes":        reflect.TypeFor[client.AddedCodes](),
		"Timer":             reflect.TypeFor[client.Timer](),
		"TimerPage":         reflect.TypeFor[client.List[client.Timer]](),
		"Export":            reflect.TypeFor[client.Export](),
		"ExportPage":        reflect.TypeFor[client.List[client.Export]](),
		"NewExport":         reflect.TypeFor[client.NewExport](),
		"ShownTemplate":     reflect.TypeFor[client.Template](),
		"SetTemplate":       reflect.TypeFor[client.Template](),
		"Preview":           reflect.TypeFor[client.Preview](),
		"ThemeStatus":       reflect.TypeFor[client.ThemeStatus](),
		"ThemeLog":          reflect.TypeFor[client.ThemeLog](),
		"Written":           reflect.TypeFor[client.Message](),
		"WrittenPage":       reflect.TypeFor[client.List[client.Message]](),
		"TestResult":        reflect.TypeFor[client.TestResult](), "Timing": reflect.TypeFor[client.Timing](),
		"BlocklistEntry": reflect.TypeFor[client.BlocklistEntry](), "BlocklistEntryPage": reflect.TypeFor[client.List[client.BlocklistEntry]](),
		"NewBlocklistEntry": reflect.TypeFor[client.NewBlocklistEntry](), "AddedBlocklistEntry": reflect.TypeFor[client.BlocklistEntry](),
	}
	// What the client writes or reads by hand; its tests and those of the routes
	// show that it does.
	byHand := []string{
		"AddCodes", "Balances", "Batch", "ChangeProgram", "ChangeSettings", "ChangeSubscription", "DryRunAnswer", "Enable", "Explain", "Identities", "KeyRoll", "Links",
		"Moderate", "Moderated", "Problem", "PublishedBatch", "Publishing", "Recover", "ReferBy", "ReportActivities", "ReportedActivities", "Rules", "SecretRotation",
		"SetThemeSchema", "SetVariables", "ThemeSchema", "Variables",
	}
	for name, schema := range doc.Components.Schemas {
		if slices.Contains(byHand, name) {
			continue
		}
		of, ok := types[name]
		if !ok {
			t.Errorf("the client has no %s", name)
			continue
		}
		fields := jsonFields(of)
		if name == "Publication" { // which writes the envelopes' fields by hand
			for _, dialect := range dialects.All {
				for _, field := range dialect.Fields() {
					fields = append(fields, field.Name)
				}
			}
			slices.Sort(fields)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(schema.Properties)), fields); diff != "" {
			t.Errorf("%s (-document +client):\n%s", name, diff)
		}
		delete(types, name)
	}
	if len(types) > 0 {
		t.Errorf("the document has no %v", slices.Sorted(maps.Keys(types)))
	}
}
