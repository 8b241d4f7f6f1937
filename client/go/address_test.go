// SPDX-License-Identifier: Apache-2.0

package objpool

import (
	"encoding/json"
	"os"
	"testing"
)

// Each client plays the same file.
func TestFormsOfAddresses(t *testing.T) {
	var rows []struct{ Text, Is string }
	bytes, err := os.ReadFile("../../tests/addresses.json")
	if err == nil {
		err = json.Unmarshal(bytes, &rows)
	}
	if err != nil || len(rows) < 20 {
		t.Fatal(len(rows), err)
	}
	for _, row := range rows {
		if is := addressForm(row.Text); is != row.Is {
			t.Errorf("%q became %q, not %q", row.Text, is, row.Is)
		}
	}
}
