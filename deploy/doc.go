// Package deploy holds the files that run jethook in production, and the tests that check them.
package deploy
