# The project's verbs. Everything runs in .venv, which `make` builds on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MONITORING := $(VENV)/.monitoring-tools
ACTIONLINT_VERSION := 1.7.12
ACTIONLINT := $(VENV)/.actionlint-$(ACTIONLINT_VERSION)
# Use the machine's certificate store, so that a company proxy's certificate is accepted.
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true
# Each of the hundreds of Python processes that the tests start would else compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo unit test lint format bench soak docs pictures dashboards deploy clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

# promtool, prometheus, amtool, alertmanager: of the PATH, else unpacked from Debian's packages into .venv.
$(MONITORING): tests/monitoring/tools.py | $(STAMP)
	$(BIN)/python -m tests.monitoring.tools
	@touch $@

# actionlint is a Go program. It is built where Go is; elsewhere its test says that it is skipped.
$(ACTIONLINT): | $(STAMP)
	@if ! command -v go >/dev/null; then \
		echo "Go is not installed: the test with actionlint will be skipped"; \
	elif GOBIN="$(CURDIR)/$(BIN)" go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION); then \
		touch $@; \
	else \
		echo "actionlint could not be built: its test will be skipped"; \
	fi

demo: $(STAMP)  ## Start real servers, send sample traffic through the pipeline, show what arrived
	$(BIN)/logpipe demo

# Two processes have to collect the same tests in the same order: hence the seed, for sets among the parameters.
unit: lint  ## Lint, type-check, and run the tests that start no server: the inner loop
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -m 'not server' -n 2 --dist worksteal --hypothesis-profile unit

test: lint $(MONITORING) $(ACTIONLINT)  ## Lint, type-check, and run every test against real servers
	$(BIN)/python -m tests.deploy.helm
	$(BIN)/python -m pytest

lint: $(STAMP)  ## Lint, check the floors of the house, and type-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)  ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## Measure; writes benchmarks/results/
	$(BIN)/python -m benchmarks

soak: $(STAMP)  ## Run the fault suite at length, twenty minutes of steady traffic; writes benchmarks/results/soak.md
	$(BIN)/python -m tests.faults.soak

docs: $(STAMP)  ## Regenerate the generated pages, build the site strictly, check every command and block
	$(BIN)/python -m docs.source.generated
	$(BIN)/python -m docs.source.pictures
	$(BIN)/python -m docs.source.site
	$(BIN)/python -m pytest -m 'not server' tests/docs

pictures: $(STAMP)  ## Draw the pictures of docs/ again; runs the demonstration
	$(BIN)/python -m docs.source.pictures
	$(BIN)/python -m docs.source.demo_picture

dashboards: $(STAMP)  ## Regenerate the dashboards; with VALUES=file OUT=directory also write the pack of that product
	$(if $(VALUES),$(if $(OUT),,$(error VALUES=$(VALUES) needs OUT=directory: the committed files keep the guide's values)))
	$(BIN)/python -m monitoring.grafana.source
	$(BIN)/python -m monitoring.kibana.source
	$(if $(OUT),$(BIN)/python -m monitoring.pack "$(or $(VALUES),monitoring/values.toml)" "$(OUT)")

deploy: $(STAMP)  ## Regenerate what deploy/ takes from the rules and from the chart's values
	$(BIN)/python -m deploy.generate

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .site dist
