# make demo            a talking head from the shipped sample (or AUDIO=your.wav) in outputs/demo
# make test            everything the project promises, checked
# make test-clients    the same with foreign readers: Khronos validator, three.js, Chromium
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIO ?= data/sample/speech.wav
DEMO := outputs/demo
STAMP = $(VENV)/.installed-$(1)

.PHONY: demo test test-clients lint clean

demo: $(call STAMP,demo)
	$(BIN)/python -m diffspeaker3d.animate audio="$(AUDIO)" out=$(DEMO) 'formats=[mp4,npz,glb]'

test: $(call STAMP,test)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not clients" --cov --cov-report=term:skip-covered

test-clients: $(call STAMP,test)
	npm install --prefix tests/clients --silent
	$(BIN)/python -m pytest -m clients

lint: $(call STAMP,test)
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) outputs build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { echo "make: this Python cannot make a venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade pip

$(call STAMP,demo): $(VENV)/bin/python setup.cfg constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[render]"
	touch $@

$(call STAMP,test): $(VENV)/bin/python setup.cfg constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@ $(call STAMP,demo)
