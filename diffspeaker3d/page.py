"""The page of `python -m diffspeaker3d.app`: a recording goes in, a head talks in the browser, any file comes out."""

from __future__ import annotations

import html
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import FORMATS, save
from diffspeaker3d.formats.html import HtmlOptions, page
from diffspeaker3d.generation.options import MAX_STRENGTH
from diffspeaker3d.generation.pipeline import SpeechAnimator

if TYPE_CHECKING:
    import gradio

log = logging.getLogger(__name__)

NO_BLEND = "none"
KEEP_SECONDS = 3600  # an animation of a visitor who went away, and the files made of it
MAX_STEPS = 50
# The player draws heads that stand still, too; these have no time to show.
STILL_STYLE = "<style>footer, header details, #notes { display: none !important; }</style>"
CSS = """
.gradio-container { width: 100% !important; max-width: 1320px !important; margin: 0 auto !important; }
:is(#title, #stage, #message) :is(.html-container, .prose), #title, #stage, #message { padding: 0 !important; }
#title h1 { margin: 0; font-size: 1.35rem; } #title p { margin: .1rem 0 0; color: var(--body-text-color-subdued); }
#stage iframe { display: block; width: 100%; height: clamp(420px, 66vh, 760px); border: 0; border-radius: 10px; background: #d9dde3; }
#message:not(:has(p)) { display: none; }
#message p { margin: 0; padding: .5rem .75rem; border-radius: 8px; overflow-wrap: anywhere; }
#message .bad { background: #fbe9e5; color: #8a2d18; } #message .good { background: #e8f1ea; color: #28563a; }
#make { align-self: flex-end; height: 44px; } #speech button.center { min-height: 130px; height: auto; }
"""


class Page:
    """What the buttons do. Every answer ends in one line of words; bad input never raises beyond here.

    Args:
        animator: the model.
        folder: where files for download are put, each in a folder of its own.
    """

    def __init__(self, animator: SpeechAnimator, folder: Path) -> None:
        self.animator, self.folder = animator, folder
        self.styles: list[str] = list(animator.styles.names)
        self.heads: list[str] = list(animator.topology.templates)

    def animate(
        self,
        audio: str | None,
        head: str | None,
        style: str | None,
        blend: str,
        amount: float,
        seed: float | None,
        steps: float | None,
        strength: float | None,
        text: str | None,
    ) -> tuple[Animation, str, str]:
        """The animation, the player with it, and what was done.

        Raises:
            InputError: nothing to animate, or whatever `SpeechAnimator.__call__` refuses.
        """
        if not audio:
            raise InputError("there is no recording yet; drop a sound file, or record yourself")
        text = (text or "").strip()
        if text.lower().endswith(".txt"):  # a visitor shall not read files of the machine that runs the page
            raise InputError("the transcript looks like a file name; paste the words themselves")
        manner = blended(style, blend, amount)
        try:
            animation = self.animator(
                audio,
                style=manner,
                template=head,
                seed=int(seed or 0),
                steps=int(steps) if steps else None,
                strength=1.0 if strength is None else strength,
                text=text or None,
            )
        except InputError as error:  # the visitor knows the recording by its name, not by where it was put
            raise InputError(str(error).replace(audio, Path(audio).name)) from error
        note = f"{animation.duration:.1f} seconds, {len(animation)} frames at {animation.fps:g} fps"
        return animation, frame(page(animation, HtmlOptions(title=Path(audio).stem)), plays=True), said(note)

    def still(self, head: str | None) -> str:
        """A player with the neutral head, to turn around before anything is said."""
        template = self.animator.topology.template(head)
        animation = Animation(
            template[None].astype(np.float32), self.animator.model.fps, self.animator.topology, template
        )
        return frame(
            page(animation, HtmlOptions(title=head or "")).replace("</head>", f"{STILL_STYLE}</head>"), plays=False
        )

    def make_file(self, animation: Animation | None, suffix: str) -> tuple[list[str], str]:
        """The animation as files of one format, and what they are.

        Raises:
            InputError: nothing animated yet, or whatever `save` refuses.
        """
        if animation is None:
            raise InputError("there is nothing to download yet; press Animate first")
        stem = Path(str(animation.provenance.get("audio", "speech"))).stem
        files = save(animation, Path(tempfile.mkdtemp(dir=self.folder)) / f"{stem}{suffix}")
        return [str(file) for file in files], said(f"ready: {', '.join(f.name for f in files)}")


def blended(style: str | None, other: str | None, amount: float) -> str | None:
    """The style as `SpeechAnimator` reads it: a name, or "a:0.75+b:0.25" with `amount` as the share of the second."""
    if not style or not other or other in (NO_BLEND, style) or not amount:
        return style or None
    return f"{style}:{1 - amount:.2f}+{other}:{amount:.2f}"


def frame(document: str, plays: bool) -> str:
    """The player in a frame of its own; one that plays starts when it is there, if the browser lets it."""
    start = ' onload="this.contentWindow.player?.play().catch(() => {})"' if plays else ""
    return f'<iframe title="talking head" allow="autoplay" srcdoc="{html.escape(document)}"{start}></iframe>'


def said(words: str, good: bool = True) -> str:
    """One line of words for the page."""
    return f'<p role="status" class="{"good" if good else "bad"}">{html.escape(" ".join(words.split()))}</p>'


def make_theme() -> gradio.themes.Base:
    """The player's colours, and the fonts of the visitor's own system: none is fetched."""
    import gradio as gr

    shades = (
        "#faf1ee",
        "#f5e2dc",
        "#ecc8bd",
        "#dfa594",
        "#cd7d68",
        "#b4553f",
        "#a04733",
        "#85392a",
        "#6c3126",
        "#592b23",
        "#301510",
    )
    clay = gr.themes.Color(*shades)
    theme = gr.themes.Default(
        primary_hue=clay, neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    return theme.set(
        body_background_fill="#f4f5f7",
        button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600",
        button_primary_text_color="white",
    )


def build_page(animator: SpeechAnimator, folder: Path) -> gradio.Blocks:
    """The page, ready to be launched.

    Args:
        animator: the model behind it.
        folder: for downloads; the caller removes it.
    """
    import gradio as gr

    words = Page(animator, folder)

    def animate(*inputs: Any) -> tuple[Any, ...]:
        try:
            return *words.animate(*inputs), gr.update(value=None, visible=False)
        except InputError as error:
            return gr.skip(), gr.skip(), said(str(error), good=False), gr.skip()

    def make_file(animation: Animation | None, suffix: str) -> tuple[Any, str]:
        try:
            files, note = words.make_file(animation, suffix)
            return gr.update(value=files, visible=True), note
        except InputError as error:
            return gr.update(value=None, visible=False), said(str(error), good=False)

    with gr.Blocks(
        title="diffspeaker3d", analytics_enabled=False, fill_width=True, delete_cache=(KEEP_SECONDS, KEEP_SECONDS)
    ) as blocks:
        made = gr.State(None, time_to_live=KEEP_SECONDS)
        gr.HTML(
            "<h1>Talking head</h1><p>Drop a recording, choose a face and a manner, and watch it speak.</p>",
            elem_id="title",
        )
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                inputs = _inputs(words)
                go = gr.Button("Animate", variant="primary", size="lg", elem_id="animate")
            with gr.Column(scale=7, min_width=360):
                stage = gr.HTML(words.still(words.heads[0] if words.heads else None), elem_id="stage")
                message = gr.HTML(elem_id="message")
                with gr.Row():
                    kinds = [(f"{suffix.lstrip('.')}: {what}", suffix) for suffix, (_, what) in FORMATS.items()]
                    kind = gr.Dropdown(kinds, value=".glb", label="File", scale=4, elem_id="format")
                    get = gr.Button("Make file", scale=1, min_width=120, elem_id="make")
                files = gr.File(
                    label="Download", visible=False, file_count="multiple", interactive=False, elem_id="files"
                )
        go.click(animate, inputs, [made, stage, message, files], concurrency_limit=1, api_visibility="private")
        get.click(make_file, [made, kind], [files, message], concurrency_limit=1, api_visibility="private")
        inputs[1].input(
            lambda head: (words.still(head), None, "", gr.update(value=None, visible=False)),
            inputs[1],
            [stage, made, message, files],
            api_visibility="private",
        )
    return blocks


def _inputs(words: Page) -> list[Any]:
    """Sound, head, style, second style, its amount, seed, steps, strength, transcript: in the order of `Page.animate`."""
    import gradio as gr

    audio = gr.Audio(sources=["upload", "microphone"], type="filepath", label="Speech", buttons=[], elem_id="speech")
    head = gr.Dropdown(
        words.heads,
        value=words.heads[0] if words.heads else None,
        label="Head",
        elem_id="head",
        visible=len(words.heads) > 1,
    )
    several = len(words.styles) > 1
    with gr.Group(visible=several):
        style = gr.Dropdown(
            words.styles, value=words.styles[0] if words.styles else None, label="Style", elem_id="style"
        )
        with gr.Row():
            blend = gr.Dropdown(
                [NO_BLEND, *words.styles], value=NO_BLEND, label="Blend with", elem_id="blend", min_width=120
            )
            amount = gr.Slider(0, 1, 0.5, step=0.05, label="Amount", elem_id="amount", min_width=120)
    with gr.Accordion("More", open=False):
        with gr.Row():
            seed = gr.Number(0, precision=0, minimum=0, label="Seed", info="blinks, gaze, brows", min_width=120)
            default = words.animator.sampling.steps
            limit = min(max(MAX_STEPS, default), words.animator.schedule.num_timesteps)
            steps = gr.Slider(1, limit, default, step=1, label="Steps", info="more is slower", min_width=120)
        strength = gr.Slider(0, MAX_STRENGTH, 1.0, step=0.05, label="Strength", info="how far the face moves")
        text = gr.Textbox(
            label="What is said", lines=2, placeholder="optional, English: guides the lips; or auto", elem_id="text"
        )
    return [audio, head, style, blend, amount, seed, steps, strength, text]
