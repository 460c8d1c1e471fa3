# Specola. The first thing to try: make demo
.DEFAULT_GOAL := help
.PHONY: help setup demo up down test bench bench-cone bench-query bench-release bench-redshift bench-reduction check clean

help: ## these lines
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

setup: ## Debian packages and the virtual environment
	@bin/house setup

demo: setup ## set everything up, load the demonstration survey, start it
	@bin/house run specola demo

up: setup ## start the servers
	@bin/house run specola up

down: ## stop what runs
	@bin/house run specola down

test: ## own set-up, then every test on real servers (also while a demo runs)
	@bin/house --test --extras test setup
	@bin/house --test --extras test run bin/test $(PYTEST)

bench: ## measure ingest beside dachs imp and COPY
	@bin/house --test --extras test setup
	@bin/house --test --extras test run python -m bench.ingest $(BENCH)

bench-query: ## measure answers beside one stock DaCHS process and psql (wants the demo running)
	@bin/house run python -m bench.query $(BENCH)

bench-cone: ## measure cones on ten thousand and a million ObsCore rows, with their plans (wants the demo running)
	@bin/house run python -m bench.cone $(BENCH)

bench-release: ## measure freeze, stage and promote beside plain copying and COPY
	@bin/house --test --extras test setup
	@bin/house --test --extras test run python -m bench.release $(BENCH)

bench-redshift: ## measure redshifts beside redrock on real spectra (half an hour; BENCH='--redrock-every 8' for less)
	@bin/house --test --extras test setup
	@bin/house --test --extras test run python -m bench.redshift $(BENCH)

bench-reduction: ## measure the reduction, ESO's and PypeIt on simulated frames, against the truth (BENCH='--seeds 11 --pypeit-slits 0' for less)
	@bin/house --test --extras test setup
	@bin/house --test --extras test run python -m bench.reduction $(BENCH)

check: ## ruff, mypy, import-linter, dependency audit
	@bin/house --test --extras test,check setup
	@bin/house --test --extras test,check run bin/check

clean: ## stop everything and remove all that was written (asks first)
	@bin/house clean
