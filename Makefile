.POSIX:
.PHONY: help dev build test bench torture check lint fuzz

# How often torture breaks something in each of its ways, and its further flags.
ROUNDS = 3
TORTUREFLAGS =

# How long each fuzz target runs, and further flags of go test.
FUZZTIME = 30s
TESTFLAGS =

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

dev: ## run the whole bridge on this machine, with sample events
	go run ./cmd/jethook dev

build: ## build bin/jethook, static as in the image
	CGO_ENABLED=0 go build -trimpath -o bin/jethook \
	  -ldflags "-s -w -X main.version=$$(git describe --tags --always --dirty)" ./cmd/jethook

test: ## run every test with the race detector, in random order
	go test -race -shuffle=on $(TESTFLAGS) ./...

bench: ## measure receiving, delivering and storing
	go run ./internal/bench

torture: ## break jethook under load ROUNDS (3) times in each way, and count what was lost
	go run ./internal/torture -rounds $(ROUNDS) $(TORTUREFLAGS)

check: lint build test ## all that must hold before a merge, as CI runs it

lint: ## formatting, vet, staticcheck, and both modules tidy
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted; run gofmt -w on:" $$files; exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	go mod tidy -diff
	cd tools && go mod tidy -diff

fuzz: ## run every fuzz target for FUZZTIME (30s) and list the results
	@results=; failed=0; \
	for target in $$(grep -r --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/'); do \
	  package=$$(dirname "$${target%%:*}"); name=$${target##*:}; \
	  if go test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZTIME) "$$package"; then result=ok; else result=FAIL; failed=1; fi; \
	  results="$$results$$result	$$package	$$name\n"; \
	done; \
	printf "\n$$results"; exit $$failed
