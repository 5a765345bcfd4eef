package event

import "fmt"

// Env is an environment. The two share nothing: streams, subjects, endpoints
// and keys are apart, so that a flood of tests cannot fill production's.
type Env string

// The two environments.
const (
	Test Env = "test"
	Prod Env = "prod"
)

// Envs lists the environments.
func Envs() []Env { return []Env{Prod, Test} }

// ParseEnv returns the environment of that name.
func ParseEnv(s string) (Env, error) {
	switch e := Env(s); e {
	case Test, Prod:
		return e, nil
	}
	return "", fmt.Errorf("environment %q is neither test nor prod", s)
}
