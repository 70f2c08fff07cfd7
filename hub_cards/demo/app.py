"""Shows which regions of an image a text selects. Needs nothing but requirements.txt and the files beside it.

`demo.json` names the model, its class and example texts; `images/` holds region features, one `.npz` an image, and
photos of the same names where there are any. The model's code comes from its own repository.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from transformers import AutoProcessor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

if TYPE_CHECKING:
    import gradio

HERE = Path(__file__).parent
SHOWN = 3
SMALLEST = 480
COLOUR, FAINT = (230, 0, 126), (170, 170, 170)


class Demo:
    """A model and example images.

    Args:
        folder: With `demo.json` and `images`.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self.settings: dict[str, Any] = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
        self.folder = folder / "images"
        self.names = sorted(path.stem for path in self.folder.glob("*.npz"))
        name, revision = self.settings["model"], self.settings["revision"]
        model_class = get_class_from_dynamic_module(self.settings["model_class"], name, revision=revision)
        # Only the eager backend gives attention weights.
        self.model = model_class.from_pretrained(name, revision=revision, attn_implementation="eager").eval()
        self.processor = AutoProcessor.from_pretrained(name, revision=revision, trust_remote_code=True)

    @property
    def finds_regions(self) -> bool:
        """Whether the model's answer is a region; else the regions shown are those it attends to."""
        return type(self.model).__name__.endswith("RegionGrounding")

    def image(self, name: str) -> dict[str, Any]:
        """The region features called `name`, as the processor takes them."""
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as arrays:
            image = dict(arrays)
        size = {side: int(image[side]) for side in ("width", "height")}
        return {**image, **size, "image_id": name, "has_global_region": bool(image["has_global_region"])}

    @torch.no_grad()
    def select(self, name: str, text: str) -> tuple[np.ndarray, list[list[Any]]]:
        """What a text selects.

        Args:
            name: Of the image.
            text: An expression, a question or a caption.

        Returns:
            A number for each region of the image, `[R]`, the larger the more it is selected; and rows for people:
            regions, answers or scores, each with its number.
        """
        image = self.image(name)
        inputs = self.processor(text=text, regions=image, return_tensors="pt")
        if self.finds_regions:
            scores = self._of_regions(self.model(**inputs).logits[0].sigmoid().numpy(), image)
            return scores, [[f"region {row}", round(float(scores[row]), 3)] for row in np.argsort(-scores)[:SHOWN]]
        outputs = self.model(**inputs, output_attentions=True)
        attention = outputs.get("text_attends_visual")
        if attention is None:  # VisualBERT: words and regions in one sequence
            length = inputs["input_ids"].shape[1]
            attention = [layer[:, :, :length, length:] for layer in outputs.attentions if layer.shape[-1] > length]
        shares = torch.stack(list(attention)).mean((0, 1, 2, 3)).numpy()
        predictions = self.model.predict(**inputs, top_k=SHOWN)[0]
        rows = [[one.get("answer", "this image fits"), round(one["score"], 3)] for one in predictions]
        return self._of_regions(shares, image), rows

    def _of_regions(self, values: np.ndarray, image: dict[str, Any]) -> np.ndarray:
        """Numbers of the rows a model reads, as those of the image's own regions."""
        rows = len(image["boxes"])
        place = self.processor.feature_extractor.global_region
        if place is None:
            found = values
        elif not image["has_global_region"]:  # the processor added a row
            found = values[1:] if place == "first" else values[:-1]
        else:
            found = values if place == "first" else np.roll(values, 1)
        return np.pad(found, (0, rows - len(found)))  # a model may read only the first regions

    def draw(self, name: str, scores: np.ndarray) -> Image.Image:
        """Draw the regions, the most selected ones in colour.

        Args:
            name: Of the image.
            scores: `[R]`.

        Returns:
            The photo, or a white canvas of its size where there is none, with boxes; small ones enlarged.
        """
        image = self.image(name)
        scale = max(1, SMALLEST // max(image["width"], image["height"]))  # room for the numbers in small images
        size = (scale * image["width"], scale * image["height"])
        photos = [path for path in self.folder.glob(f"{name}.*") if path.suffix != ".npz"]
        canvas = Image.open(photos[0]).convert("RGB").resize(size) if photos else Image.new("RGB", size, "white")
        pen, best = ImageDraw.Draw(canvas), np.argsort(-scores)[:SHOWN][::-1]
        for row in [*np.setdiff1d(np.arange(len(scores)), best), *best]:
            colour, width = (COLOUR, 4 if row == best[-1] else 2) if row in best else (FAINT, 1)
            x1, y1, x2, y2 = (scale * float(side) for side in image["boxes"][row])
            pen.rectangle((x1, y1, x2, y2), outline=colour, width=width)
            if row in best:
                pen.text((x1 + 4, y1 + 2), f"{row}: {scores[row]:.2f}", fill=colour)
        return canvas

    def show(self, name: str, text: str) -> tuple[Image.Image, list[list[Any]]]:
        """The picture and the rows for an image called `name` and a `text`."""
        scores, rows = self.select(name, text)
        return self.draw(name, scores), rows


def build(demo: Demo) -> gradio.Blocks:
    """The page of a `demo`."""
    import gradio as gr

    coloured = "found" if demo.finds_regions else "that the text attends to most (mean over layers, heads and words)"
    with gr.Blocks(title=demo.settings["title"]) as page:
        gr.Markdown(
            f"# {demo.settings['title']}\nModel: `{demo.settings['model']}`. In colour: the regions {coloured}."
        )
        with gr.Row():
            with gr.Column():
                name = gr.Dropdown(demo.names, value=demo.names[0], label="Image")
                text = gr.Textbox(demo.settings["texts"][0], label="Text")
                gr.Examples([[one] for one in demo.settings["texts"]], inputs=[text])
                button = gr.Button("Show")
                rows = gr.Dataframe(headers=["found", "score"], label="What the model says")
            picture = gr.Image(type="pil", label="Regions")
        button.click(demo.show, inputs=[name, text], outputs=[picture, rows], api_name="show")
        page.load(demo.show, inputs=[name, text], outputs=[picture, rows])
    return page


if __name__ == "__main__":
    build(Demo()).launch()
