# Everything a person runs. The first use sets up .venv and node_modules; later uses only what changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test deep bench artifacts vectors format clean

demo: .venv/runtime            ## the tour, under two minutes: builds a network, attacks it a little, pays everyone; DEMO=settlement another
	.venv/bin/dpn demo $(DEMO)

test: .venv/develop .venv/slither/.installed node_modules/.installed  ## every check, with the time of each stage
	.venv/bin/python tests/stages.py test $(STAGES)

deep: .venv/develop node_modules/.installed  ## what takes longer; writes docs/reports/deep.md
	.venv/bin/python tests/stages.py deep $(STAGES)

bench: .venv/develop node_modules/.installed ## figures, as ratios within one run, and gas, to bench/results.json
	.venv/bin/python -m bench.run

artifacts: node_modules/.installed           ## rebuilds the committed ABI and bytecode
	npm run --silent artifacts

vectors: .venv/develop node_modules/.installed  ## rewrites the golden vectors
	npm run --silent vectors
	.venv/bin/python -m tests.rich_epochs

format: .venv/develop
	.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/runtime: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/develop: .venv/runtime
	$(PIP) --editable '.[dev]'
	touch $@

# Of its own, as it needs an older web3 than the network.
.venv/slither/.installed: tests/slither/requirements.txt | .venv/runtime
	test -x .venv/slither/bin/python || $(PYTHON) -m venv .venv/slither
	.venv/slither/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

node_modules/.installed: package.json package-lock.json .npmrc
	npm ci --silent --no-audit --no-fund
	touch $@
