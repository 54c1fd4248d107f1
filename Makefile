# Everything starts here: `make` lists what there is. The work is done by the scripts in tools/.
#
# Nothing is installed outside the checkout but Debian packages, and those only as root (tools/debian-packages.txt).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-prove demo-down test test-fast test-long lint format sanity architecture unit conformance sandbox integration \
        faults interop breakglass hosts lab kubernetes soak artefact-test newest py39 bench docs changelog clean distclean

help: ## list the targets
	@grep -hE '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9 -]+):.*## (.*)/  \1\n      \2/'

setup: ## install what everything else needs (again only when a requirement changed)
	@tools/setup.sh main

demo: setup ## start the sandbox, back it up, show what was backed up and how to restore it; the first time also demo-prove
	@tools/demo.sh up

demo-prove: setup ## prove the sandbox's backups at level 4 and restore one of each kind beside production
	@tools/demo.sh prove

demo-down: ## stop the sandbox and remove all that the demo made
	@tools/demo.sh down

test: setup ## every suite, without the scenarios of test-long (somewhat over an hour on two cores)
	@tools/test.sh main

test-long: setup ## scenarios of minutes, all that concerns Ansible on the newest one, every case on the oldest Python (an hour)
	@tools/test.sh long

test-fast: setup ## lint, architecture, quick unit and conformance tests, a backup and a restore of each engine (under 5 minutes)
	@tools/test.sh fast

lint: setup ## ruff, mypy, vermin, yamllint, ansible-lint, shellcheck
	@tools/test.sh lint

format: setup ## let ruff put the code in order
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

sanity: setup ## ansible-test sanity, no exceptions
	@tools/test.sh sanity

architecture unit conformance sandbox integration faults interop breakglass hosts lab kubernetes: setup ## one suite of tests (tests/<name>)
	@tools/test.sh $@

artefact-test: setup ## build the collection, install it alone, and use it
	@tools/test.sh artefact

newest: setup ## unit and module tests on the newest ansible-core and Python of this machine
	@tools/test.sh newest

py39: setup ## the engine's unit tests on Python 3.9, where this machine has one
	@tools/test.sh py39

bench: setup ## measure against the tools' own pipes and the peers (tens of minutes)
	@tools/bench.sh

docs: setup ## write the generated pages again
	@.venv/bin/python tools/error_codes.py
	@.venv/bin/python tools/export_schemas.py
	@.venv/bin/python tools/verification_table.py

changelog: setup ## check the changelog fragments
	@.venv/bin/antsibull-changelog lint

clean: ## remove what building and testing left
	@rm -rf build tests/output .cache/mypy .cache/ruff .cache/pytest .cache/sanity-tree lifeboat-recovery-*.tar.gz lifeboat.egg-info
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## also remove the virtual environments and caches
	@rm -rf .venv .venv-newest .venv-3.9 .cache
