package deliver

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAFilterSelectsByTheFieldsOfTheBody(t *testing.T) {
	const body = `{"type":"order.paid","count":3,"live":true,"id":"evt_1","note":null,
		"data":{"object":{"amount":1000,"currency":"eur","tags":["a","b"],"lines":[{"sku":"x","qty":2},{"sku":"y","qty":5}]}}}`
	for _, test := range []struct {
		filter string
		want   bool
	}{
		{`data.object.amount >= 1000`, true},
		{`data.object.amount > 1000`, false},
		{`data.object.amount < 1000.5`, true},
		{`data.object.amount + 1 == 1001`, true},
		{`data.object["amount"] <= 1000`, true},
		{`type == "order.paid" && live`, true},
		{`count == 3`, true},
		{`len(data.object.tags) == 2`, true},
		{`"b" in data.object.tags`, true},
		{`data.object.lines[1].qty == 5`, true},
		{`data.object.lines[-1].sku == "y"`, true},
		{`any(data.object.lines, .qty > 4)`, true},
		{`all(data.object.lines, .qty > 4)`, false},
		{`data.object.currency in ["eur", "usd"]`, true},
		{`type startsWith "order."`, true},
		{`type matches "^order\\.(paid|sent)$"`, true},
		{`not (data.object.amount >= 2000)`, true},
		{`data.object.currency >= "eur"`, true},

		{`data.object.missing >= 1000`, false},
		{`missing.at.any.depth >= 1000`, false},
		{`missing < 1`, false},
		{`missing == "x"`, false},
		{`missing == nil`, true},
		{`note > 1`, false},
		{`missing`, false},
		{`note`, false},
		{`missing.flag`, false},
		{`not (missing > 1)`, true},
		{`missing > 1 || live`, true},
		{`data.object.lines[7].qty > 1`, false},
		{`id.not.an.object == nil`, true},
		{`missing startsWith "a"`, false},
		{`"a" in missing`, false},
		{`(data.object.discount ?? 0) < 1`, true},
	} {
		f, err := newFilter(test.filter)
		if err != nil {
			t.Errorf("%s: %v", test.filter, err)
			continue
		}
		if got, err := f.match([]byte(body)); err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.filter, got, err, test.want)
		}
	}
}

func TestAFilterThatCannotBeEvaluatedIsAnError(t *testing.T) {
	for _, test := range []struct{ filter, body string }{
		{`data.amount >= 1000`, `{"data":{"amount":"1000"}}`},
		{`data.amount`, `{"data":{"amount":5}}`},
		{`amount + 1 > 0`, `{}`},
		{`list.name > 1`, `{"list":[1]}`},
		{`len(map(1..99999, map(1..99999, #))) > 0`, `{}`},
		{`a == 1`, `[1]`},
		{`a == 1`, `"text"`},
		{`a == 1`, `null`},
		{`a == 1`, `a=1`},
		{`a == 1`, ``},
		{`a == 1`, `{"a":1} trailing`},
	} {
		f, err := newFilter(test.filter)
		if err != nil {
			t.Errorf("%s: %v", test.filter, err)
			continue
		}
		if got, err := f.match([]byte(test.body)); err == nil {
			t.Errorf("%s on %s: %v, want an error", test.filter, test.body, got)
		}
	}
}

func TestAFilterThatIsNoConditionIsRefused(t *testing.T) {
	for _, text := range []string{
		`amount >=`, `"text"`, `1 + 1`, `{}`, strings.Repeat("a", maxFilter+1),
		strings.Repeat("a == 1 || ", 400) + "a == 1",
	} {
		if _, err := newFilter(text); err == nil {
			t.Errorf("%.60q is accepted, want an error", text)
		}
	}
}

func TestNoBodyCrashesAFilter(t *testing.T) {
	f, err := newFilter(`data.object.amount >= 1000 and type startsWith "order" or any(lines, .qty > count)`)
	if err != nil {
		t.Fatal(err)
	}
	value := rapid.OneOf(rapid.Just[any](nil), rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.String().AsAny(), rapid.Bool().AsAny(),
		rapid.SliceOf(rapid.MapOf(rapid.SampledFrom([]string{"qty", "sku"}), rapid.Int().AsAny())).AsAny())
	rapid.Check(t, func(t *rapid.T) {
		body, err := json.Marshal(map[string]any{"type": value.Draw(t, "type"), "lines": value.Draw(t, "lines"),
			"count": value.Draw(t, "count"), "data": map[string]any{"object": value.Draw(t, "object")}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.match(body); got && err != nil {
			t.Errorf("%s: both %v and %v", body, got, err)
		}
	})
}
