# edgek: the commands of a working copy. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEBIAN := podman crun conmon nftables iptables conntrack catatonit busybox-static iproute2 \
          util-linux procps nfs-common python3-venv
TEST_DEBIAN := docker-registry curl shellcheck systemd glusterfs-server glusterfs-client
CEPH_DEBIAN := ceph-mon ceph-osd ceph-mds ceph-common ceph-fuse
STAMP := $(VENV)/.installed

.PHONY: help venv up down test lint types unit test-fileservers test-machines bench system test-system

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

venv: $(STAMP) ## make the virtual environment that everything here uses

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@$(BIN)/python -m scripts.fetch_test_clients $(VENV)/clients
	@touch $@

system: # what a node needs of Debian; quiet and quick where it is there already
	@scripts/debian-packages $(DEBIAN)

test-system:
	@scripts/debian-packages $(DEBIAN) $(TEST_DEBIAN)

up: system venv ## run server and agent on this machine, with the hello example
	@$(BIN)/python -m scripts.up

down: ## stop all that `make up` started and leave nothing behind
	@test -x $(BIN)/python && $(BIN)/python -m scripts.up --down || true

test: test-system $(VENV)/.test lint types unit ## install what tests need and run them all

lint: $(VENV)/.test ## style and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache > .lint-imports.log 2>&1 || { cat .lint-imports.log; exit 1; }

types: $(VENV)/.test ## mypy --strict
	@$(BIN)/mypy

unit: $(VENV)/.test ## pytest, as CI runs it
	@$(BIN)/pytest -q

test-fileservers: $(VENV)/.test test-system ## CephFS on a real cluster (270 MB of packages)
	@scripts/debian-packages $(CEPH_DEBIAN)
	@$(BIN)/pytest -q -m ceph tests/host

test-machines: $(VENV)/.test test-system ## install, reboot and NFS on emulated machines
	@tests/machines/run

bench: $(VENV)/.test ## figures of this machine, as ratios against a reference
	@$(BIN)/python -m bench
