# Everything here needs Go, git, make and bash, and nothing else: the tools are Go
# modules, pinned in hack/tools.mod and hack/lint.mod, built when first used and cached.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
# The go command uses all processors already, and the targets share files.
.NOTPARALLEL:

# A go.work above the checkout would join devcluster with it, which cannot work.
export GOWORK := off

TOOL := go tool -modfile=hack/tools.mod
LINT := go tool -modfile=hack/lint.mod golangci-lint

# Tests run under the race detector, but for those of jobtest and a few others (see hack/test-unit). It needs a C
# compiler; without one (go env says so) the tests still run, and a line says what was left out.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
# A program with the race detector waits a second before it ends, in case a race is yet to come.
export GORACE := atexit_sleep_ms=50
# Linking 70 test binaries is a good part of the time, and a quarter of that is what only a debugger reads.
NODEBUG := -ldflags=-w
# More flags of "go test", such as TESTFLAGS='-run TestPromises -v'.
TESTFLAGS ?=
# Prints a line per package, the output of every test that fails, and "DONE n tests" at the end.
GOTESTSUM := $(TOOL) gotestsum --format=pkgname --format-icons=text --format-hide-empty-pkg

# The packages with tests on the dev control plane are those with a file of that build tag. (test/page
# is a module of its own.)
INTEGRATION = $(filter-out ./test/page/,$(sort $(dir $(shell grep -rl --include='*_test.go' --exclude-dir=devcluster '^//go:build.*integration' .))))
# Those that take longest begin first, so that none is left to run alone at the end: alone on two cores they
# take 240, 230, 180, 160, 150, 130, 130 and 90 s.
LONGEST := ./cmd/jobkit/ ./test/integration/ ./test/progress/ ./test/operator/ ./test/gang/ ./test/kinds/ ./bench/ ./internal/devenv/

# How many simulated lives of a job "make sim" tries.
RUNS ?= 100000
# All Markdown files: code in them is taken from the code, and their prose is wrapped.
DOCS = $(wildcard $(shell git ls-files --cached --others --exclude-standard '*.md'))
# Packages whose API is stable (VERSIONING.md).
STABLE := . ./api/common/v1 ./api/kubeflow/v1 ./controller ./crdrules ./devenv ./gang ./gang/schedulers ./jobtest ./jobtest/conformance ./jobtest/gangtest ./operator ./podtemplate ./progress ./progress/server
# What is checked for words that are not used (hack/words).
WORDS := . Makefile

##@ Try it

.PHONY: help
help: ## List the targets
	@printf 'Usage: make TARGET\n'
	@while IFS= read -r line; do \
		if [[ $$line =~ ^'##@ '(.*) ]]; then printf '\n%s\n' "$${BASH_REMATCH[1]}"; \
		elif [[ $$line =~ ^([a-z-]+):[^#]*'## '(.*) ]]; then printf '  %-20s %s\n' "$${BASH_REMATCH[1]}" "$${BASH_REMATCH[2]}"; fi; \
	done <Makefile

.PHONY: demo
demo: ## Run example jobs of all kinds on a real control plane on this machine, and watch them
	@go run ./cmd/jobkit demo

.PHONY: build
build: ## Build the jobkit command into bin/
	@go build -o bin/ ./cmd/...

# Docker, Podman and Buildah build it alike; the name is the one in config/manager.
IMAGE ?= jobkit/operator:dev
IMAGE_TOOL ?= docker
IMAGE_ARCH ?= $(shell go env GOARCH)

.PHONY: image
image: bin/image/operator ## Build the operator's image; IMAGE=name:tag IMAGE_TOOL=podman IMAGE_ARCH=arm64
	@$(IMAGE_TOOL) build --platform=linux/$(IMAGE_ARCH) --tag=$(IMAGE) --file=Dockerfile bin/image

# Always built: the go command knows what is up to date.
.PHONY: bin/image/operator
bin/image/operator:
	@CGO_ENABLED=0 GOOS=linux GOARCH=$(IMAGE_ARCH) go build -trimpath -ldflags='-s -w' -o $@ ./cmd/operator

# The modules in the program of the image, read from the program itself.
.PHONY: sbom
sbom: bin/image/operator ## Write the bill of materials of the operator's image (CycloneDX) to bin/; IMAGE_ARCH=arm64
	@$(TOOL) cyclonedx-gomod bin -json -noserial -version "$$(git describe --tags --always --dirty)" -output bin/operator-$(IMAGE_ARCH).cdx.json bin/image/operator
	@echo 'bin/operator-$(IMAGE_ARCH).cdx.json'

##@ Test

.PHONY: test
test: test-unit test-page test-devcluster test-chart test-integration ## Run all tests

.PHONY: test-unit
test-unit: race-detector ## Run the tests that need only Go (2 to 4 minutes)
	@echo '== unit and property tests'
	@RACE=$(RACE) $(GOTESTSUM) --raw-command -- hack/test-unit $(NODEBUG) $(TESTFLAGS)

# How many packages are tested at once. Each has a control plane of its own, and waits most of the time.
# What must happen in time may be late on a busy machine, so such a test measures how busy it is, or has three rounds.
AT_ONCE ?= 3

.PHONY: test-integration
test-integration: race-detector build-devcluster ## Run the tests on the dev control plane (which starts and stops automatically)
	@echo '== integration tests, on the dev control plane'
	@$(GOTESTSUM) -- $(RACE) $(NODEBUG) -tags=integration -count=1 -p=$(AT_ONCE) -timeout=30m $(TESTFLAGS) $(LONGEST) $(or $(filter-out $(LONGEST),$(INTEGRATION)),$(error no package has integration tests))

# Built like the dev control plane itself, so that Kubernetes is compiled once; vetted by "make vet".
.PHONY: test-devcluster
test-devcluster: ## Run the unit tests of the dev control plane
	@echo '== unit tests of the dev control plane'
	@$(GOTESTSUM) --raw-command -- env CGO_ENABLED=0 go -C devcluster test -json -vet=off $(TESTFLAGS) ./...

# A module of its own: Helm and kustomize are in no other. What it reads is outside of the module, so no result is cached.
.PHONY: test-chart
test-chart: ## Test the Helm chart, next to config/ (it needs neither Helm nor a cluster)
	@echo '== tests of the chart'
	@$(GOTESTSUM) --raw-command -- go -C charts/test test -json $(NODEBUG) -count=1 $(TESTFLAGS) ./...

# It takes minutes and half a gigabyte, so it is not part of "make test".
.PHONY: test-stranger
test-stranger: build-devcluster ## Do what a stranger does: jobkit new, one edit, test, dev, run; prints the time of each step
	@go run ./hack/stranger

# A module of its own: what drives the browser is in no other. Without Chromium it says so and passes.
.PHONY: test-page
test-page: build-devcluster ## Test the page of "jobkit ui" in Chromium, on the dev control plane
	@echo '== tests of the page'
	@$(GOTESTSUM) --raw-command -- go -C test/page test -json $(NODEBUG) -tags=integration -count=1 -timeout=20m $(TESTFLAGS) ./...

# In namespaces of its own; test/nodes/README.md says what it needs. Not part of "make test": it needs root. What the
# machine lacks is said before anything is built, the dev control plane included.
NODES = $(GOTESTSUM) --format=standard-verbose -- -tags=nodes -count=1 -p=1 -timeout=60m

.PHONY: test-nodes
test-nodes: ## Run jobs on two real kubelets (root, Debian or Ubuntu; INSTALL=1 installs what is missing, REQUIRE=1 fails without)
	@echo '== tests on real nodes'
	@JOBKIT_NODES_INSTALL=$(INSTALL) JOBKIT_NODES_REQUIRE=$(REQUIRE) $(NODES) -skip='^TestTraining' $(TESTFLAGS) ./test/nodes/...

.PHONY: test-nodes-training
test-nodes-training: ## Train with torch, MPI and XGBoost on them, as Debian has them (0.4 GB to download, 1.2 GB on disk)
	@echo '== training on real nodes'
	@JOBKIT_NODES_TRAINING=1 JOBKIT_NODES_INSTALL=$(INSTALL) JOBKIT_NODES_REQUIRE=$(REQUIRE) $(NODES) -run='^TestTraining' $(TESTFLAGS) ./test/nodes

# Not part of "make test": it compiles half of Kubernetes once more, in the versions that the schedulers are made of.
.PHONY: test-live
test-live: build-devcluster ## Run jobs beside the real Kueue, Volcano and coscheduling (Linux; compiles them the first time, for some 15 CPU minutes)
	@echo '== tests beside the real Kueue, Volcano and coscheduling'
	@$(GOTESTSUM) --format=standard-verbose -- -tags=live -count=1 -parallel=12 -timeout=60m $(TESTFLAGS) ./test/live/...

# Not part of "make test": it compiles the API server of each release. TESTFLAGS='-run /v1.31' is one of them.
.PHONY: test-versions
test-versions: ## Run the operator against the API servers of several Kubernetes releases (8 CPU minutes of compiling each the first time)
	@echo '== tests against Kubernetes releases'
	@$(GOTESTSUM) --format=standard-verbose -- -tags=versions -count=1 -timeout=120m $(TESTFLAGS) ./test/versions/...

# Without the race detector, which takes four fifths of the time: a simulated cluster does
# one thing at a time. TESTFLAGS=-race has it all the same.
.PHONY: sim
sim: ## Try RUNS (100000) simulated lives of jobs at random, every fault, and about as many pairs of faults
	@JOBKIT_SIM_RUNS=$(RUNS) GOGC=400 $(GOTESTSUM) --format=standard-verbose -- \
		-count=1 -timeout=0 -run='Random|Batch|Every' $(TESTFLAGS) ./jobtest/... | grep -v '^=== '

.PHONY: sim-goodput
sim-goodput: ## Print how much of 54 days on 2,048 nodes is training that counts, by policy (virtual time)
	@go run ./hack/goodput

# The tests of plan are to notice when its code is wrong. Rapid's shrinking is of no use here; its
# fixed seed makes two runs alike.
.PHONY: mutate
mutate: ## Change plan in 7,000 small ways and see whether its tests notice (45 minutes); SAMPLE=100 SEED=1 tries some, FILES='^tally' those of files
	@go run ./hack/mutate -min 95 -ignore hack/mutate/plan-ignored.txt $(if $(SAMPLE),-sample $(SAMPLE)) $(if $(SEED),-seed $(SEED)) \
		$(if $(FILES),-files '$(FILES)') internal/plan -rapid.checks=30 -rapid.seed=1 -rapid.shrinktime=1ms -rapid.nofailfile

# SCALE=1 is what the performance budget speaks of, and takes half an hour; see docs/maintainers/performance.md.
SCALE ?= 0.2
# More flags of the bench, such as BENCHFLAGS='--scenarios=one-large-job,many-small-jobs --operator=batch-job'; "go run ./bench --help" lists them.
BENCHFLAGS ?=

.PHONY: bench
bench: build-devcluster ## Measure speed and scale on the dev control plane, next to a bare client; SCALE=1 is full size
	@go run ./bench --scale=$(SCALE) --idle=30s $(BENCHFLAGS)

# How often each is measured, and more flags: SIDEFLAGS='--only=jobkit,jobset', and after " -- " those of the bench.
ROUNDS ?= 1
SIDEFLAGS ?= -- --scenarios=one-large-job,many-small-jobs --services=PerReplica --distances=0s --writers=32

.PHONY: side-by-side
side-by-side: build-devcluster ## Measure this operator, training-operator v1, JobSet and the Job of Kubernetes in turn, and print one table
	@go run ./bench/sidebyside --scale=$(SCALE) --rounds=$(ROUNDS) $(SIDEFLAGS)

.PHONY: build-devcluster
build-devcluster: ## Build the dev control plane: 8 to 17 minutes the first time, then cached
	@go run ./hack/build-devcluster

.PHONY: race-detector
race-detector:
	@$(if $(RACE),,echo 'No C compiler: the tests run without the race detector.')

##@ Change it

.PHONY: generate
generate: ## Generate deep copies, CRDs and RBAC, and put code into the documentation
	@$(TOOL) controller-gen object paths=./api/... paths=./examples/...
	@$(TOOL) controller-gen crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:dir=config/crd
	@$(TOOL) controller-gen crd:generateEmbeddedObjectMeta=true paths=./examples/testjob/v1/... output:crd:dir=config/crd
	@go run ./hack/crd-rules config/crd/kubeflow.org_*.yaml
	@cd config/crd; { sed '/^- /d' kustomization.yaml; printf -- '- %s\n' $$(ls *_*.yaml | grep -v testjobs); } >k.tmp; mv k.tmp kustomization.yaml
	@$(TOOL) controller-gen rbac:roleName=testjob-operator paths=./examples/testjob/... output:rbac:dir=config/rbac/testjob
	@$(TOOL) controller-gen rbac:roleName=jobkit-operator paths=./operators/... output:rbac:dir=config/rbac/operator
	@cd examples/simjob; go tool -modfile=../../hack/tools.mod controller-gen crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:dir=config/crd
	@cd examples/simjob; go tool -modfile=../../hack/tools.mod controller-gen rbac:roleName=simjob-operator paths=./internal/... output:rbac:dir=config/rbac
	@cd examples/simjob; go run ./hack/crd
	@go run ./hack/chart-files config charts/jobkit
	@go run ./hack/api-reference docs/users/api.md $(filter-out %testjobs.yaml,$(sort $(wildcard config/crd/kubeflow.org_*.yaml)))
	@$(if $(DOCS),go run ./hack/readme-sync $(DOCS))
	@go test ./hack -run='TestStates$$' -rewrite >/dev/null

.PHONY: fmt
fmt: ## Format the code of all modules, and wrap the prose of Markdown files
	@$(LINT) fmt
	@go run ./hack/markdown -w $(DOCS)

.PHONY: lint
lint: ## Lint; FIX=1 fixes what can be fixed mechanically
	@$(LINT) run $(if $(FIX),--fix) ./...
	@# Linters that need types would load all of Kubernetes from source, which takes more than 8 GB.
	@cd devcluster; go tool -modfile=../hack/lint.mod golangci-lint run $(if $(FIX),--fix) --fast-only ./...
	@for module in test/nodes/coredns bench/sidebyside/trainingoperator bench/sidebyside/jobset; do \
		(cd $$module; go tool -modfile="$(CURDIR)/hack/lint.mod" golangci-lint run $(if $(FIX),--fix) --fast-only ./...); done
	@cd charts/test; go tool -modfile=../../hack/lint.mod golangci-lint run $(if $(FIX),--fix) ./...
	@cd test/page; go tool -modfile=../../hack/lint.mod golangci-lint run $(if $(FIX),--fix) ./...

.PHONY: vet
vet: ## Run go vet on all modules
	@go vet -tags=integration,nodes,live,versions ./...
	@CGO_ENABLED=0 go -C devcluster vet ./...
	@go -C charts/test vet ./...
	@go -C test/page vet -tags=integration ./...

.PHONY: check-docs
check-docs: ## Check the documentation: links, and words that are not used
	@go run ./hack/markdown $$(git grep -lI 'docs/.*\.md' -- ':!*.md' ':!hack/markdown' ':!hack/words') $(DOCS)
	@go run ./hack/words -allow hack/words/allowed.txt $(WORDS)

.PHONY: api-diff
api-diff: ## Compare the exported API with that of the last release
	@hack/api-diff $(STABLE)

.PHONY: tidy
tidy: ## Tidy the go.mod files of all modules, the tools' included
	@go mod tidy
	@go -C devcluster mod tidy
	@go -C test/nodes/kubernetes mod tidy
	@go -C test/nodes/coredns mod tidy
	@for scheduler in test/live/*/; do go -C $$scheduler mod tidy; done
	@for release in test/versions/v*/; do go -C $$release mod tidy; done
	@go -C charts/test mod tidy
	@go -C test/page mod tidy
	@for other in bench/sidebyside/*/; do go -C $$other mod tidy; done
	@hack/tidy-tools hack/tools hack/lint

.PHONY: verify
verify: ## Check all that is not a test: generated files, format, lint, vet, tidiness, documentation
	@hack/verify

.PHONY: vulncheck
vulncheck: ## Check for known vulnerabilities (needs the Go vulnerability database: a network)
	@$(TOOL) govulncheck ./... || { code=$$?; \
		[ $$code -eq 3 ] || echo 'govulncheck could not do its work; it needs the Go vulnerability database, over the network.' >&2; exit $$code; }

.PHONY: clean
clean: ## Remove what was built or left behind in this checkout (Go's caches stay)
	@rm -rf bin .cache
	@find . -name .git -prune -o -type f \( -name '*.test' -o -name '*.out' \) -exec rm -f {} +
