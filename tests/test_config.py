"""Command lines: what people type, what the command gets, and the one line when that cannot be."""

import copy
import functools
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given as for_any
from hypothesis import settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from diffspeaker3d.config import CONF_DIR, door, guard
from diffspeaker3d.config.command_line import for_hydra
from diffspeaker3d.config.doors import checked
from diffspeaker3d.config.kinds import AsTyped, Options, allowed, fields, how_typed, tables
from diffspeaker3d.config.schema import COMMANDS
from diffspeaker3d.errors import InputError

NEEDED = {"animate": ["audio=a.wav", "out=a.glb"], "render": ["motion=a.npz", "out=a.mp4"]}


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Run a command whose work is to keep its options: (exit code, options, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(name, *arguments, work=None):
        found = []
        monkeypatch.setattr(sys, "argv", ["diffspeaker3d", *arguments])
        capfd.readouterr()
        try:
            door(name)(work or found.append)()
        except SystemExit as error:
            return error.code, None, capfd.readouterr().err
        return 0, found[0] if found else None, capfd.readouterr().err

    return run


@functools.cache
def composed(name):
    """The configuration of a command with what it needs."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(name, overrides=[*NEEDED.get(name, []), *(["out=x", "name=x"] if name == "train" else [])])


def given(name, *arguments):
    """The options that a command is given, without hydra's composing for every case."""
    cfg = copy.deepcopy(composed(name))
    for override in OverridesParser.create().parse_overrides(for_hydra(arguments, name)):
        OmegaConf.update(cfg, override.key_or_group, override.value())
    return checked(cfg, COMMANDS[name])


# ---- paths and texts as they are typed ----

AS_TYPED = [
    "take (1).wav", "日本語.wav", "a,b.wav", "line[3].wav", "it's.wav", 'say "a".wav', "x=1.wav", "C:\\a b\\c.wav", "C:\\folder\\",
    "😀.wav", "{}.wav", "{a:b}", "<a>.wav", " x .wav ", "$HOME.wav", "${oc.env:HOME}", "\\${oc.env:HOME}\\", "a#b.wav", "100%.wav", "a;b&c|d.wav",
    "true", "12", "1e3", "a:b", "*.wav", "[ab]*.wav", "-x.wav", "+x.wav", "!x", "@x", "a\tb.wav", "'", '"', "\\", "null.wav", "???", "[unclosed.wav",
    "choice(a,b)", "glob(*)", "~x.wav", "\udce9.wav",
]  # fmt: skip


@pytest.mark.parametrize("name", AS_TYPED)
def test_a_path_is_taken_as_it_is_typed(name):
    keys = ("audio", "out", "checkpoint", "template")
    options = given("animate", *(f"{key}={name}" for key in keys))
    assert {getattr(options, key) for key in keys} == {"./???" if name == "???" else name}


def test_every_door_takes_every_path_as_it_is_typed(command):
    name = "it's (1), [2] ${oc.env:HOME} {x}=日本.wav"
    for what, table in COMMANDS.items():
        inner = [f"dataset.{key}" for key in ("root",) if what in ("train", "evaluate")]
        keys = [
            key for key, annotation in fields(table).items() if how_typed(annotation) in (AsTyped.PATH, AsTyped.PATHS)
        ]
        code, options, said = command(what, *(f"{key}={name}" for key in [*keys, *inner]))
        assert code == 0, said
        assert {getattr(options, key) for key in keys} == {name}
        assert not inner or options.dataset.root == name


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
TRICKY = st.lists(
    st.sampled_from(["\\", "$", "{", "}", "${", "${oc.env:HOME}", "'", '"', " ", ",", "=", "[", "]", "(", ")", "\n", "é", "😀", ":", "#", "\udc80"]),
    min_size=1, max_size=10,
).map("".join)  # fmt: skip


@settings(max_examples=100, deadline=None)
@for_any(PRINTABLE | TRICKY)
def test_any_name_and_any_sentence_round_trip(name):
    if name in ("null", "???") or name.startswith(("~", "[")):
        name = f"./{name}"
    options = given("animate", f"audio={name}", f"out={name}", f"text={name}", f"template={name}")
    assert [options.audio, options.out, options.text, options.template] == [name] * 4


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world. It's a test!",
        'He said "no", twice.',
        "a\nb",
        "[laughs]",
        "{x}",
        "auto",
        "50% = half",
        "ça $va",
        "~",
    ],
)
def test_a_text_is_taken_as_it_is_typed(text):
    assert given("animate", f"text={text}").text == text
    options = given("render", f"background={text}", "color=#a0b0c0", "labels=[it's,(b)]")
    assert (options.background, options.color, options.labels) == (text, "#a0b0c0", ["it's", "(b)"])


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("[a.mp4,a.glb]", ["a.mp4", "a.glb"]),
        ("[ take (1).wav , it's.wav ]", ["take (1).wav", "it's.wav"]),
        ('["a,b.wav",c.wav]', ["a,b.wav", "c.wav"]),
        ("['a, b.wav']", ["a, b.wav"]),
        ("[line[3].wav,b.wav]", ["line[3].wav", "b.wav"]),
        ("[${oc.env:HOME}]", ["${oc.env:HOME}"]),
        ("[a.wav]", ["a.wav"]),
    ],
)
def test_lists_in_brackets(typed, found):
    options = given("animate", f"audio={typed}", f"out={typed}")
    assert options.audio == options.out == found


def test_a_file_of_exactly_that_name_comes_before_list_and_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("[a,b]", "~here.wav"):
        (tmp_path / name).write_text("x")
        assert given("animate", f"audio={name}").audio == name


def test_the_home_folder_is_written_out(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    options = given("animate", "audio=[~/x.wav,b.wav]", "out=~/y.glb", "checkpoint=~", "template=~/head.obj")
    assert options.audio == ["/home/me/x.wav", "b.wav"] and options.out == "/home/me/y.glb"
    assert options.checkpoint == "/home/me" and options.template == "/home/me/head.obj"
    compare = given("evaluate", "compare={ours:~/c,the others:/a b/(1)}").compare
    assert compare == {"ours": "/home/me/c", "the others": "/a b/(1)"}
    with pytest.raises(InputError, match="no user nobody-here"):
        given("animate", "out=~nobody-here/x.glb")


def test_null_is_none():
    options = given("animate", "text=null", "checkpoint=null", "template=./null")
    assert options.text is None and options.checkpoint is None and options.template == "./null"


def test_a_sweep_runs_over_paths_too(command):
    seen = []
    command("train", "-m", "seed=0,1", "init=a b,c'd", work=lambda options: seen.append((options.seed, options.init)))
    assert sorted(seen) == [(0, "a b"), (0, "c'd"), (1, "a b"), (1, "c'd")]


def test_hydras_grammar_stays_for_the_rest(command):
    options = command(
        "train",
        "+trainer.num_sanity_val_steps=0",
        "trainer.max_steps=7",
        "data.crop_seconds=1",
        "experiment=finetune",
        "init=x",
    )[1]
    assert (
        options.trainer.max_steps == 7
        and options.trainer.num_sanity_val_steps == 0
        and options.data.crop_seconds == 1.0
    )
    assert command("animate", *NEEDED["animate"], "style=[0.5,0.5]", "landmarks={chin: 3}")[1].landmarks == {"chin": 3}


# ---- one clear line ----

MISTYPED = {
    "animate": [
        "steps=abc", "steps=1.5", "steps=[1]", "steps=0", "steps=(", "steps=1,2", "fps=fast", "fps=0", "fps=nan", "seed=null", "seed=1.5", "seed=abc",
        "seed=-1", "strength=high", "strength=null", "strength=3", "strength=inf", "threads=abc", "threads=1.5", "threads=1000000", "threads=0",
        "style=1.5", "style={a: b}", "style=true", "device=null", "device=meta", "device=cuda:x", "size=big", "size=nan", "size=1", "qc=maybe",
        "temperature=hot", "temperature=3", "temperature={mouth: x}", "landmarks={chin: x}", "landmarks={chin: -1}", "precision=float8", "renderer=magic",
        "formats=1", "formats={a: b}", "audio=", "out=", "text=",
    ],
    "render": ["zoom=near", "zoom=0", "view=[nan,0]", "view=[1]", "view=3", "stills=few", "stills=0", "stills=-1", "stills=[]", "stills=100000",
               "labels=1", "labels=[]", "labels=[a]", "error_scale=x", "error_scale=0", "size=[1,2,3]", "size=[100,x]", "wireframe=maybe", "out=null"],
    "app": ["port=abc", "port=80.5", "port=0", "port=70000", "port=null", "browser=maybe", "threads=x"],
    "benchmark": ["repeats=x", "repeats=0", "seconds=[0]", "seconds=[]", "seconds=abc", "picture=-1", "sizes=3", "steps=x", "models.vocaset.width=x"],
    "train": ["seed=-1", "num_visemes=abc", "save_every=0", "draws=0", "half=maybe", "rate=fast", "trainer.max_steps=abc", "trainer.max_steps=0",
              "data.batch_size=0", "data.crop_seconds=x", "optimizer.lr=big", "optimizer.lr=-1", "denoiser.width=wide", "motion_scale=-1",
              "ema_decay=1", "timesteps=up", "dataset.num_clips=few", "dataset.fps=null", "preview_every=x", "early_stopping=3", "out=null", "name=null"],
    "evaluate": ["limit=0", "limit=x", "seeds=[a]", "seeds=[]", "worst=-1", "styles=some", "steps=x", "compare=DIR", "compare={a}", "baselines=3"],
    "prepare": ["fps=x", "tolerance=-1", "resample=maybe"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, all_ in MISTYPED.items() for argument in all_]
)
def test_a_mistyped_option_is_one_line_that_says_what_may_be(name, argument):
    with pytest.raises(InputError) as refused:
        given(name, argument)
    said = str(refused.value)
    assert said.startswith(argument.partition("=")[0]) and ("must be" in said or "give" in said), said
    assert "\n" not in said and "None" not in said and len(said) < 300, said


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("animate", ["audio=a.wav"], "out: is needed; give out=..."),
        ("animate", ["out=a.glb"], "audio: is needed"),
        ("animate", ["a.wav"], "a.wav: options are written name=value"),
        ("animate", [*NEEDED["animate"], "sede=1"], "sede: no such option; did you mean seed?"),
        ("animate", [*NEEDED["animate"], "+sede=1"], "sede: no such option; did you mean seed?"),
        ("animate", [*NEEDED["animate"], "door=loud"], "door: no such option"),
        ("train", ["data.batchsize=1"], "data.batchsize: no such option; did you mean data.batch_size?"),
        ("train", ["audio_encoder.widht=1"], "audio_encoder.widht: no such option; did you mean audio_encoder.width?"),
        ("train", ["experiment=1.5"], "experiment=1.5: no such experiment; known: ablation"),
        ("train", ["experiment=manequin"], "did you mean mannequin?"),
        ("train", ["dataset=null"], "dataset=null: no such dataset; known: biwi"),
        ("render", [*NEEDED["render"], "~zoom"], "zoom: is needed"),
    ],
)  # fmt: skip
def test_what_is_missing_or_unknown_is_one_line(command, name, arguments, words):
    code, _, said = command(name, *arguments)
    assert code == 2 and said.count("\n") == 1 and words in said, said


@pytest.mark.parametrize("name", COMMANDS)
def test_values_and_schema_name_the_same_options_and_help_explains_them(name, monkeypatch, capsys):
    needed = {
        "animate": ["audio=a", "out=a"],
        "render": ["motion=a", "out=a"],
        "train": ["out=a", "name=a"],
        "prepare": ["dataset=biwi"],
    }
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose(name, overrides=needed.get(name, []))
    assert set(cfg) == set(fields(COMMANDS[name])), "an option is a value in conf/ and a field of config/schema.py"
    assert isinstance(checked(cfg, COMMANDS[name]), COMMANDS[name])
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    door(name)(lambda options: None)()
    text = capsys.readouterr().out
    assert all(
        f"  {key}=" in text for key, annotation in fields(COMMANDS[name]).items() if not list(tables(annotation))
    )
    assert max(map(len, text.splitlines())) <= 120


def test_every_option_is_described():
    def walk(table):
        for key, field in table.model_fields.items():
            assert field.description, f"{table.__name__}.{key} needs a line below it that says what it means"
        for annotation in fields(table).values():
            assert "typing." not in allowed(annotation)
            for inner in tables(annotation):
                walk(inner)

    for table in COMMANDS.values():
        assert issubclass(table, Options)
        walk(table)


# ---- the guard ----


def test_exit_codes(command, tmp_path):
    def fail(error):
        def work(options):
            raise error

        return work

    arguments = NEEDED["animate"]
    assert command("animate", *arguments, work=fail(InputError("a.wav: line one\n line two")))[::2] == (
        2, "diffspeaker3d: a.wav: line one line two\n",
    )  # fmt: skip
    code, _, said = command("animate", *arguments, work=fail(KeyboardInterrupt()))
    assert code == 130 and said.startswith("diffspeaker3d: interrupted")
    code, _, said = command("animate", *arguments, work=fail(PermissionError(13, "Permission denied", "x.wav")))
    assert (code, said) == (2, "diffspeaker3d: x.wav: cannot be used (Permission denied)\n")
    for error in (ZeroDivisionError("a bug is a bug"), AssertionError(), MemoryError(), RecursionError("x")):
        code, _, said = command("animate", *arguments, work=fail(error))
        assert code == 70 and said.count("\n") == 1 and "Traceback" not in said
        log = next((tmp_path / "state").rglob("*.log"))
        assert str(log) in said and type(error).__name__ in log.read_text() and "Traceback" in log.read_text()
        log.unlink()
    assert set(os.listdir(tmp_path)) <= {"state"}, "a command leaves no run folder behind"


@pytest.mark.parametrize(
    "message",
    ["", "  \n", "\x1b[2J\x1b]0;owned\x07", "a\u202egpj.exe", "x" * 10_000, "\ud800", "line\r\nline\x85end\u2028"],
)
def test_a_reason_is_one_printable_line(message):
    line = guard.one_printable_line(message)
    assert line and len(line) <= guard.LONGEST_LINE
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028" for c in line)


PROGRAM = """
import os, signal, sys, time
from diffspeaker3d.config import door
from diffspeaker3d.files import atomic_path
# A program started by nohup, or in the background of a script, ignores signals on purpose; here they must arrive.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)


@door("animate")
def main(options):
    {body}
main()
"""


def run_program(tmp_path, body, **more):
    program = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    return subprocess.run(
        [sys.executable, "-c", program, *NEEDED["animate"]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
        **more,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_ends_a_program_cleans_up(tmp_path, number):
    result = run_program(
        tmp_path,
        f"with atomic_path('a.txt') as t:\n    t.write_text('half')\n    os.kill(os.getpid(), {int(number)})\n    time.sleep(5)",
    )
    assert result.returncode == 130 and result.stderr == "diffspeaker3d: interrupted; nothing half-written is left\n"
    assert os.listdir(tmp_path) == []


def test_an_interrupt_is_not_lost_in_an_import_that_swallows_it(tmp_path):
    (tmp_path / "greedy.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    sum(range(10**6))\nexcept BaseException:\n    pass\n"
    )
    result = run_program(tmp_path, "sys.path.insert(0, '.')\nimport greedy\ntime.sleep(5)\nprint('went on')")
    assert result.returncode == 130 and result.stdout == "" and result.stderr.count("\n") == 1


def test_a_reader_that_went_away_is_no_news(tmp_path):
    result = run_program(tmp_path, "os.close(1); r, w = os.pipe(); os.close(r); os.dup2(w, 1); print('x' * 100_000)")
    assert result.returncode == 141 and result.stderr == ""


# ---- one command for all ----


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 0, "animate"), (["--help"], 0, "evaluate"), (["--version"], 0, "."), (["anmate"], 2, "did you mean animate?"),
        (["animate", "audio=a.wav"], 2, "out: is needed"), (["train", "--help"], 0, "experiment="),
    ],
)  # fmt: skip
def test_the_program_runs_its_commands(tmp_path, arguments, code, words):
    result = subprocess.run(
        [sys.executable, "-m", "diffspeaker3d", *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == code and words in result.stdout + result.stderr, result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_nothing_heavy(name):
    code = (
        f"import sys; sys.argv = ['x', '--help']; import diffspeaker3d.{name} as d; d.main(); "
        "print(sorted({'torch', 'transformers', 'lightning', 'scipy', 'trimesh', 'av'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr == "[]\n"
