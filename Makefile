# Every target with a comment after ## is explained by `make help`. What is longer than a line lives in hack/.
PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/pytest
# What fails among tests that share the cluster is run once more, alone.
PYTEST_SHARED = $(BIN)/python -m hack.pipeline.second_look
# The cluster's KUBECONFIG, PATH (kubectl, helm) and addresses, for the rest of the line.
WITH_CLUSTER = eval "$$($(PYTHON) -m hack.cluster env)"
# End-to-end tests run side by side where that leaves a core to the cluster itself; each process has disks of its own.
SIDE_BY_SIDE := $(shell n=$$(($$(nproc) - 1)); [ $$n -lt 2 ] || \
	printf -- '-n %d --maxschedchunk 1 --max-worker-restart 0' $$((n > 3 ? 3 : n)))
# CLUSTER=kind: the targets under "The development cluster" use kind, which wants Docker; the tests know only our own.
export CLUSTER
CLUSTER_TOOL = $(if $(filter kind,$(CLUSTER)),hack.kind,hack.cluster)
# Directories of tests whose types mypy holds, too.
TYPED_TESTS := tests/servers tests/images tests/e2e tests/matrix tests/upgrade tests/bench $(addprefix tests/unit/,api bench chart cli controllers dispatch e2e engine hack kube planning runtime servers worker) \
	$(addprefix tests/cluster/,api dispatch engine)

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

##@ See it
.PHONY: help demo
help: ## Explain every target
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv ## From nothing to running machines on a cluster of this machine's own; prints the tree
	@$(BIN)/python -m hack.demo

##@ Check it
.PHONY: test venv packages lint format generate unit cluster e2e kill-matrix
test: ## Set up everything and run lint and all tests; a cluster that was down is down again afterwards
	@$(PYTHON) -m hack.pipeline test

venv: ## Make .venv with what requirements/dev.txt pins, or bring it up to date
	@$(PYTHON) -m hack.pipeline venv

packages: ## Install the Debian packages that builds and tests need
	@$(PYTHON) -m hack.pipeline packages

lint: venv ## Check style, types, the import rule, generated files and the chart
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p hack
	$(BIN)/mypy --explicit-package-bases $(TYPED_TESTS)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m hack.generate --check
	@eval "$$($(PYTHON) -m hack.cluster env 2>/dev/null)"; \
	if command -v helm >/dev/null; then helm lint --quiet charts/goldpool; else echo "helm lint: left out, no helm"; fi

format: venv ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: venv ## Write anew what is derived: CRDs, RBAC, the dashboard, docs/metrics.md, the chart's README
	$(BIN)/python -m hack.generate

unit: venv packages ## Run the unit tests (real qemu-img, files, a loopback HTTP server; no cluster)
	@export GOLDPOOL_BOOT_GUESTS=1 HELM="$$(eval "$$($(PYTHON) -m hack.cluster env 2>/dev/null)"; command -v helm || true)"; \
	$(PYTEST) -n auto tests/unit

cluster: venv ## Run the tests that need an API server; wants `make cluster-up chart`
	@$(WITH_CLUSTER); $(PYTEST_SHARED) --tb=short tests/cluster

e2e: venv packages ## Run the tests that boot machines; wants `make cluster-up chart`
	@$(WITH_CLUSTER); $(PYTEST_SHARED) --tb=short $(SIDE_BY_SIDE) tests/e2e

.PHONY: upgrade-test bench bench-fetch bench-check
upgrade-test: venv packages chart ## Upgrade from the version before this one and go back, machines running; FROM=COMMIT; wants `make cluster-up`
	@$(BIN)/python -m hack.upgrade
	@$(WITH_CLUSTER); $(PYTEST) tests/upgrade

bench: venv packages ## Measure, as ratios to Kubernetes alone; ONLY="volumes startup", JSON=FILE (docs/performance.md)
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

bench-fetch: ## Import a 1 GiB image over http and https beside curl and aria2; the part "fetch" of bench
	@$(MAKE) --no-print-directory bench ONLY=fetch

bench-check: venv packages ## The same, and fail where a figure is above its calibrated threshold
	@$(BIN)/python -m tests.bench --check $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

kill-matrix: venv packages ## Let the operator die after each single write of a machine's path; takes most of an hour
	@$(WITH_CLUSTER); $(PYTEST) -s tests/matrix
	@$(WITH_CLUSTER); GOLDPOOL_THOROUGH=1 GOLDPOOL_OUTAGE_SECONDS=60 $(PYTEST) \
		tests/e2e/test_api_faults.py tests/e2e/test_replicas.py

##@ The development cluster (CLUSTER=kind: by kind and Docker)
.PHONY: cluster-up cluster-down cluster-status cluster-env images load chart
cluster-up: ## Start a Kubernetes of three nodes on this machine; builds it the first time, repairs it later
	@$(PYTHON) -m $(CLUSTER_TOOL) up

cluster-down: ## End the cluster and remove all it made; built programs and image stores stay
	@$(PYTHON) -m $(CLUSTER_TOOL) down

cluster-status: ## Show the cluster's processes, nodes and pools
	@$(PYTHON) -m $(CLUSTER_TOOL) status

cluster-env: ## Print exports for a shell: eval "$(make -s cluster-env)"
	@$(PYTHON) -m $(CLUSTER_TOOL) env

images: venv ## Build the three container images into one archive, if their sources changed
	@$(BIN)/python -m hack.images build

load: venv ## Build the images and import them on every node that lacks them
	@$(PYTHON) -m $(CLUSTER_TOOL) load "$$($(BIN)/python -m hack.images build | tail -n 1)"

chart: load ## Install or upgrade Goldpool on the cluster by its Helm chart, with the present images
	@$(PYTHON) -m hack.pipeline chart
