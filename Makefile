# make demo            a talking head from the shipped sample (or AUDIO=your.wav) in outputs/demo
# make test            everything the project promises, checked
# make test-clients    the same with foreign readers: Khronos validator, three.js, Blender, Chromium (apt: chromium, nodejs)
# make checkpoint      the default checkpoint again, from nothing (hours)
# make pictures        the pictures of the README again
# make docs            the site in outputs/site: guide and API
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIO ?= data/sample/speech.wav
DEMO := outputs/demo
STAMP = $(VENV)/.installed-$(1)

.PHONY: demo test test-clients checkpoint pictures docs lint clean

demo: $(call STAMP,demo)
	$(BIN)/python -m diffspeaker3d.animate audio="$(AUDIO)" out=$(DEMO) 'formats=[mp4,npz,glb]'

test: $(call STAMP,test)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not clients" --cov --cov-report=term:skip-covered

test-clients: $(call STAMP,test) .venv-blender/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[app]"
	npm install --prefix tests/clients --silent
	DIFFSPEAKER3D_BLENDER=$(CURDIR)/.venv-blender/bin/python $(BIN)/python -m pytest -m clients

# Blender as a module exists for one Python only, wants an older NumPy, and is GPL: it lives apart and runs as its own process.
.venv-blender/.installed:
	$(PYTHON) -m venv .venv-blender
	-.venv-blender/bin/python -m pip install --quiet "bpy==4.5.*"
	touch $@

# RECORDINGS: a folder of transcribed speech (speechocean762, OpenSLR 101). CAPTURES: measured jaws (FACEGOOD-Audio2Face).
RECORDINGS ?= data/recordings
CAPTURES ?= data/captures
WITH_SPEECH := {name: speech, raw: $(RECORDINGS), root: outputs/corpora/speech, fps: 30, seed: 0, held_out: 0.05, workers: null, share: 0.15}
checkpoint: $(call STAMP,test)
	$(BIN)/python -m diffspeaker3d.prepare encoder=whisper-tiny.en
	$(BIN)/python -m diffspeaker3d.train experiment=mannequin 'also=[$(WITH_SPEECH)]'
	$(BIN)/python scripts/measured_jaw.py outputs/train/mannequin/checkpoint $(CAPTURES) outputs/corpora/jaws --test studio_zh_05
	$(BIN)/python -m diffspeaker3d.train experiment=mannequin_people init=outputs/train/mannequin/checkpoint \
		'also=[$(WITH_SPEECH), {name: folder, root: outputs/corpora/jaws, share: 0.15}]'
	$(BIN)/python -m diffspeaker3d.evaluate checkpoint=outputs/train/mannequin_people/checkpoint dataset.num_clips=7000 limit=80 out=outputs/evaluate/mannequin \
		'baselines=[mean_face,ridge,nearest_neighbour]' 'degradations=[clean,babble10,telephone,mp3_64,gain+12,gain-12,overload12]'
	$(BIN)/python scripts/ship_checkpoint.py outputs/train/mannequin_people/checkpoint outputs/evaluate/mannequin
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python scripts/curves.py outputs/train/mannequin docs/pictures/mannequin_training

pictures: $(call STAMP,demo)
	$(BIN)/python -m diffspeaker3d.animate audio=data/sample/speech.wav out=outputs/pictures/demo.npz
	$(BIN)/python -m diffspeaker3d.render motion=outputs/pictures/demo.npz out=docs/pictures/demo.png 'stills=[5.51,5.6,6.4,6.8,7.6,8.3,9.1,10.05]' size=320
	$(BIN)/python scripts/shapes_sheet.py

docs: $(call STAMP,test)
	$(BIN)/mkdocs build --strict

lint: $(call STAMP,test)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

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
