package protocol

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/decode"
)

// Report is the body of a request, and of the answer to it.
type Report struct {
	// TrainerStatus is the report. Without it a request reports nothing, and is no mistake.
	TrainerStatus *commonv1.TrainerStatus `json:"trainerStatus,omitempty"`
}

// Parse reads and checks a body. What is not part of the protocol is ignored, also what only the
// server may say: when the report came, and who sent it. The error names the field, its value
// and what is wrong with it.
func Parse(body []byte) (Report, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return Report{}, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	var r Report
	if err := decode.Object(body, &r); err != nil {
		return Report{}, err
	}
	s := r.TrainerStatus
	if s == nil {
		return Report{}, nil
	}
	s.ReceivedTime, s.Reporter = nil, nil
	if err := validate(s, field.NewPath("trainerStatus")).ToAggregate(); err != nil {
		return Report{}, err //nolint:wrapcheck // the same
	}
	return r, nil
}

// validate checks a report as the schema of status.trainerStatus does, so that what is accepted
// can be written later.
func validate(s *commonv1.TrainerStatus, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if n := s.ProgressPercentage; n != nil && (*n < 0 || *n > 100) {
		errs = append(errs, field.Invalid(at.Child("progressPercentage"), *n, "must be from 0 to 100"))
	}
	if n := s.EstimatedRemainingSeconds; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(at.Child("estimatedRemainingSeconds"), *n, "must not be negative"))
	}
	if n := len(s.Metrics); n > MaxMetrics {
		return append(errs, field.TooMany(at.Child("metrics"), n, MaxMetrics))
	}
	for i, m := range s.Metrics {
		errs = append(errs, validateText(at.Child("metrics").Index(i).Child("name"), m.Name)...)
		errs = append(errs, validateText(at.Child("metrics").Index(i).Child("value"), m.Value)...)
	}
	return errs
}

// validateText checks the name or the value of a metric.
func validateText(at *field.Path, s string) field.ErrorList {
	n := utf8.RuneCountInString(s)
	if n >= 1 && n <= MaxText {
		return nil
	}
	if n > MaxText {
		s = string([]rune(s)[:MaxText]) + "..."
	}
	return field.ErrorList{field.Invalid(at, s, fmt.Sprintf("must have from 1 to %d characters", MaxText))}
}
