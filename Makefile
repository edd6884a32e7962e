# `make help` lists the targets. Java 17 and Python 3.11 are all that has to be there; everything else goes into .venv.
.DEFAULT_GOAL := help
.PHONY: help setup run promote rollback history serve drain report up down status reset test check security test-spark35 test-cicd test-dags chaos bench bench-serve bench-train package docs lock clean
# ARGS goes to the command behind a target. DATA and TRAIN_ARGS reach local/run.sh through the environment,
# where spaces do no harm.
ARGS ?=
export DATA TRAIN_ARGS GATE_ARGS CHECKPOINT PREDICTIONS TO REASON
# No client reports usage of its own accord, or looks for a cloud's metadata. Targets that take gs:// on Google Cloud
# leave that to the shell, which has said no if it sourced .local/env: a virtual machine there has its credentials
# from the metadata server. Without gs:// they ask for none.
export MLFLOW_DISABLE_TELEMETRY = true
export DO_NOT_TRACK = 1
SHELL_SAID := $(NO_GCE_CHECK)
export NO_GCE_CHECK = true
promote rollback history drain report: NO_GCE_CHECK = $(SHELL_SAID)
# Compiled modules are kept, whatever the shell says: without them mlflow and pyspark take 5 s to import instead of 2.
unexport PYTHONDONTWRITEBYTECODE

help: ## List these targets
	@echo 'make TARGET [ARGS="..."]'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1 ~ \2/p' Makefile | awk -F ' ~ ' '{ printf "%-15s %s\n", $$1, $$2 }'

setup: ## Make .venv from requirements.txt (once; PYTHON= and JAVA_HOME= choose others than those on PATH)
	@local/setup.sh

run: ## Train on DATA=path, data_raw/sentiment140/ or a sample of its own, then the gate (TRAIN_ARGS="...", GATE_ARGS="...")
	@local/run.sh

promote: ## Make the challenger champion if it is good enough (ARGS="--dry-run")
	@local/setup.sh
	@.venv/bin/python ci-cd/promote-model.py $(ARGS)

rollback: ## Go back to the version that was champion before (REASON="why", TO=version)
	@local/setup.sh
	@.venv/bin/python ci-cd/rollback-model.py --to "$${TO:-previous}" --reason "$$REASON" $(ARGS)

history: ## Show what was live from when to when (ARGS="--at 2026-11-21T12:00")
	@local/setup.sh
	@.venv/bin/python ci-cd/model-history.py $(ARGS)

serve: ## Show a stream's predictions until Ctrl-C: broker, champion of make run, tweets from DATA=path
	@local/serve.sh

drain: ## Ask a stream to complete its batch and end, and wait until it has (CHECKPOINT=path or gs://...)
	@local/setup.sh
	@.venv/bin/python code/serving_report.py --action drain --checkpoint "$$CHECKPOINT" $(ARGS)

report: ## Report on predictions (PREDICTIONS=path or gs://..., else those of make serve) in .local/report/ (ARGS="...")
	@local/setup.sh
	@.venv/bin/python monitoring/report.py --predictions "$${PREDICTIONS:-$${SENTIMENT_LOCAL:-.local}/serving/predictions}" --output .local/report $(ARGS)

up: ## Start the local services, all or SERVICES="kafka mlflow", write .local/env (local/settings.toml)
	@local/setup.sh
	@.venv/bin/python local/up.py up $(SERVICES)

down: ## Stop the local services; their data stay in .local/
	@local/services.sh down $(SERVICES)

status: ## Show the local services: address, state, memory, log
	@local/services.sh status

reset: ## Stop the local services and remove .local/: their data, jars and binaries
	@local/services.sh reset $(SERVICES)

test: ## Run the tests, in three processes (ARGS="-k name", ARGS="-n 0 --pdb", ...)
	@local/setup.sh dev
	.venv/bin/python -m pytest -n 3 $(ARGS)

check: ## Style, types, shell scripts, the workflow, and whether the written pages of docs/ are up to date
	@local/setup.sh dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/shellcheck -x .ci/run $$(find . -path './.*' -prune -o -path ./env -prune -o -name '*.sh' -print)
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/python ci-cd/document_commands.py --check
	.venv/bin/python ci-cd/document_variables.py --check
	.venv/bin/python benchmarks/performance_page.py --check

security: ## Secrets, bandit's rules, known vulnerabilities (wants the network, or ARGS=--offline), SBOM in dist/
	@local/setup.sh dev
	@ci-cd/security.sh $(ARGS)

test-spark35: ## Run the Spark tests on Spark 3.5.3, in .venv-spark35
	@local/setup.sh spark35
	.venv-spark35/bin/python -m pytest -m spark $(ARGS)

test-cicd: ## Run the scripts of ci-cd/ for real: download to rollback, audit, report (wants gcloud)
	@local/setup.sh
	@ci-cd/test-cicd.sh

test-dags: ## Run every DAG whole against local services: real spark-submits on small data
	@local/setup.sh dev
	.venv/bin/python -m pytest -m dags $(ARGS)

chaos: ## Do every fault to a stream and see that no message is lost or doubled (ARGS="--only points,frozen")
	@local/setup.sh
	PYTHONPATH=code:local:tests .venv/bin/python -m chaos $(ARGS)

bench: ## Run all benchmarks (two and a half hours; ARGS="--only trees,swaps", "--short"), then write docs/performance.md
	@local/setup.sh
	.venv/bin/python benchmarks/all.py $(ARGS)

bench-serve: ## Rows per second and latency of the stream beside what one would write instead (ARGS="...")
	@local/setup.sh
	.venv/bin/python benchmarks/serve.py $(ARGS)

bench-train: ## Time and score the training beside plain Spark and scikit-learn (ARGS="...")
	@local/setup.sh
	.venv/bin/python benchmarks/train.py $(ARGS)

package: ## Write dist/sentiment.zip and one self-contained dist/<script>.py per job script
	@local/setup.sh
	.venv/bin/python ci-cd/package.py $(ARGS)

docs: ## Write docs/commands.md from the scripts' own --help, and the DAGs' Variables into docs/operate.md
	@local/setup.sh
	.venv/bin/python ci-cd/document_commands.py
	.venv/bin/python ci-cd/document_variables.py

lock: ## Compile requirements*.txt from requirements*.in (ARGS=--upgrade for newer versions)
	@local/lock.sh $(ARGS)

clean: ## Remove what the jobs wrote: data, models, packages, MLflow's files (not .venv, .local/, data_raw/sentiment140/)
	rm -rf dist artifacts mlruns mlflow.db* spark-warehouse metastore_db derby.log data_raw/sample benchmarks/results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find data_clean models -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
