# Each target makes the checkout ready first, and costs nothing when it is: see deployments/local/bootstrap.
READY = deployments/local/bootstrap
READY_TO_TEST = $(READY) --tests
SLIPWAY = $(READY) slipway

.PHONY: help run stop clean backup restore status why doctor test lint audit types contracts test-fast test-slow tests screenshots bench format lock
.NOTPARALLEL:

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## bring up the platform, then commit -> image -> release -> answer; MODEL=digits takes that sample
	@$(SLIPWAY) up --release $(if $(MODEL),--model $(MODEL))

stop: ## end what `make run` started, keep its data
	@$(SLIPWAY) down

clean: ## stop, and delete volumes, state and images of this project
	@$(SLIPWAY) clean

backup: ## write Prefect's database, secrets and release records to FILE=slipway-backup-….tar
	@$(READY) python -m deployments.local backup $(FILE)

restore: ## fill an empty platform from FILE=…, and bring it up
	@$(READY) python -m deployments.local restore $(FILE)

status: ## what runs, and what is live
	@$(SLIPWAY) status $(ARGS)

why: ## why ENV=production runs what it runs, and why nothing newer
	@$(SLIPWAY) why $(ENV) $(ARGS)

doctor: ## check all that a run needs: settings, credentials, rights, systems
	@$(SLIPWAY) doctor $(ARGS)

test: ## all checks and tests but the slow ones, on one platform; KEEP=1 keeps that
	@$(READY_TO_TEST) python -m tests.support.session

test-fast: ## lint, types, contracts, and the tests that need no platform
	@$(READY_TO_TEST) python -m tests.support.fast

test-slow: ## the tests that wait long, further kills, journeys and rows of tables, and simulations
	@$(READY_TO_TEST) python -m tests.support.session --slow

lint: ## ruff: rules and format; refused words; errors without a remedy; secrets in files
	@$(READY_TO_TEST) ruff check .
	@$(READY_TO_TEST) ruff format --check .
	@.ci/words
	@.ci/remedies
	@$(READY_TO_TEST) .ci/secrets

audit: ## look up the packages of all locks in the databases of vulnerabilities
	@$(READY) .ci/audit

types: ## mypy, strict
	@$(READY_TO_TEST) mypy

contracts: ## import-linter: who may import whom
	@$(READY_TO_TEST) lint-imports

tests: ## the tests that ARGS select, on a platform of their own; KEEP=1 keeps that
	@$(READY_TO_TEST) python -m deployments.local build # pytest would hide how long it takes
	@$(READY_TO_TEST) python -m pytest $(ARGS)

screenshots: ## take the screenshots in docs/, on a platform of its own
	@SLIPWAY_TEST_SCREENSHOTS=docs $(READY_TO_TEST) python -m pytest tests/browser

bench: ## measure what starts runs, on a platform of its own; prints the table of docs/performance.md
	@$(READY_TO_TEST) python -m benchmarks.triggers $(ARGS)

format: ## let ruff put the code in shape
	@$(READY_TO_TEST) ruff check --fix .
	@$(READY_TO_TEST) ruff format .

COMPILE = .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-find-links --python-version 3.11 \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: ## compile every *.in to its lock; UPGRADE=1 takes the newest versions
	@$(READY) true
	$(COMPILE) deployments/local/uv.in -o deployments/local/uv.txt
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) app/requirements.in -o app/requirements.txt
	$(COMPILE) deployments/local/requirements.in -o deployments/local/requirements.txt
	$(COMPILE) deployments/azure/requirements.in -o deployments/azure/requirements.txt
	$(COMPILE) tests/requirements.in -o tests/requirements.txt
	$(COMPILE) tests/app/requirements.in -o tests/app/requirements.txt
	$(COMPILE) .ci/audit.in -o .ci/audit.txt
	$(COMPILE) deployments/local/cluster/kubernetes/toolchain.in -o deployments/local/cluster/kubernetes/toolchain.txt
	$(COMPILE) deployments/local/docker/containers/azurite/requirements.in -o deployments/local/docker/containers/azurite/requirements.txt
