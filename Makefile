# Bedside. `make help` lists the targets.
SHELL := /bin/bash
BIN := .venv/bin
export PYTHONUNBUFFERED := 1

.PHONY: help setup run test check format bench bench-knowledge bench-safety bench-privacy bench-curate bench-finetune redteam planted mutate-policies train clean lock browser

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with the pinned dependencies
	@requirements/install.sh

run: setup ## start everything: database, demo hospital, engine, service
	@$(BIN)/bedside up

test: setup browser ## run all fast tests, the real engine and a real browser included (JOBS=2: in two processes)
	@$(BIN)/python -m pytest $(if $(JOBS),-n $(JOBS) --dist loadscope --no-loadscope-reorder) $(ARGS)

check: setup ## lint, format, types, import contracts, dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

format: setup ## put the code into the house format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: setup ## measure the service against raw vLLM in one run; writes docs/measurements.md
	@$(BIN)/python -m tests.bench $(ARGS)

bench-knowledge: setup ## measure the search: right article at 1, 3, 5 against its baselines
	@$(BIN)/python -m tests.bench_knowledge $(ARGS)

bench-safety: setup ## measure the guardrails: recall, alarms, mutations, changed figures, faults, times
	@$(BIN)/python -m tests.bench_safety $(ARGS)

bench-privacy: setup ## measure redaction: recall by class, over-redaction, times, beside stock Presidio
	@$(BIN)/python -m tests.bench_privacy $(ARGS)

bench-finetune: setup ## measure fine-tuning against TRL's defaults: tokens a second, padding, loss
	@$(BIN)/python -m tests.bench_finetune $(ARGS)

bench-curate: setup ## measure curation: doubts about calls it has never seen, time and memory of the chain
	@$(BIN)/python -m tests.bench_curate $(ARGS)

redteam: setup ## attack the pipeline, its engine saying what attackers want; fails over the bounds
	@$(BIN)/python -m tests.redteam $(ARGS)

planted: setup ## train adapters that are bad on purpose; the gate must block each by its rule (an hour)
	@$(BIN)/python -m tests.planted $(ARGS)

mutate-policies: setup ## weaken each safety rule in turn; every time a test of the rules must fail
	@$(BIN)/python -m tests.mutate_policies $(ARGS)

train: setup ## curate the demo transcripts, fine-tune the demo adapter, gate it, say whether it may be promoted
	@$(BIN)/bedside-train dialogues
	@$(BIN)/bedside-train curate demo/curate.yaml
	@$(BIN)/bedside-train finetune demo/adapters/curated.yaml
	@$(BIN)/bedside-train gate var/training/support --config demo/adapters/curated.yaml

browser:
	@tests/install_browser.sh

lock: ## resolve pyproject.toml anew (needs uv)
	@requirements/lock.sh

clean: ## remove the environment and all local state (asks first)
	@read -r -p "Remove .venv and var/ with the local database and its keys? [y/N] " answer; [ "$$answer" = y ] && rm -rf .venv var || echo "nothing removed"
