"""Flickr30k Entities: the phrases of Flickr30k's captions and the boxes of what they name."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from .benchmark import Benchmark, Option
from .records import InvalidAnnotation, Record

_PHRASE = re.compile(r"\[/EN#(?P<id>\d+)/(?P<types>[^\s\]]+) ?(?P<words>[^\]]*)\]")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_flickr30k_entities(
    folder: str | Path,
    *,
    split: str = "train",
    split_list: str | Path | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[Record]:
    """Reads the sentences of a split that have at least one phrase with a box.

    A phrase without boxes (not visual, the whole scene, or marked `nobndbox`) keeps an empty list of them.

    Args:
        folder: Holds `Sentences/<id>.txt` and `Annotations/<id>.xml`.
        split: Which images: those listed in `<split>.txt` of the folder.
        split_list: Another file that lists them, one id a line.
        left_out: Counts, by reason, the sentences that are not yielded: those without a phrase that has a box.

    Yields:
        Records of `phrase_grounding`, named `<id>#<number of the sentence, from 0>`. Boxes are the file's less 1, so
        that the first pixel is 0, as in the data set's own code.

    Raises:
        InvalidAnnotation: If a file is missing or not what it should be.
    """
    folder = Path(folder)
    listing = Path(split_list) if split_list is not None else folder / f"{split}.txt"
    if not listing.is_file():
        raise InvalidAnnotation(listing, "", "there is no such list of the image ids of the split")
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        image_id = line.strip()
        if not image_id:
            continue
        sentences, annotations = folder / "Sentences" / f"{image_id}.txt", folder / "Annotations" / f"{image_id}.xml"
        for file in (sentences, annotations):
            if not file.is_file():
                raise InvalidAnnotation(listing, f"line {number}", f"image {image_id} has no file {file}")
        for record in _records(image_id, sentences, read_boxes(annotations)):
            if any(phrase["boxes"] for phrase in record["phrases"]):
                yield record
            elif left_out is not None:
                left_out["no phrase with a box"] += 1


def _records(image_id: str, file: Path, boxes: dict[str, list[list[float]]]) -> Iterator[Record]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidAnnotation(file, "", f"not UTF-8 text: {error}") from None
    sentences = [" ".join(line.split()) for line in lines if line.strip()]
    if not sentences:
        raise InvalidAnnotation(file, "", "the file has no sentences")
    for number, marked in enumerate(sentences):
        sentence, phrases = parse_sentence(marked, file, f"sentence {number + 1}")
        for phrase in phrases:
            phrase["boxes"] = boxes.get(phrase["phrase_id"], [])
        yield {
            "example_id": f"{image_id}#{number}",
            "image_id": image_id,
            "sentence": sentence,
            "phrases": phrases,
        }


def parse_sentence(marked: str, file: str | Path, where: str) -> tuple[str, list[Record]]:
    """Takes the marks out of a sentence: `[/EN#12/people A man] smiles .` becomes `A man smiles .`.

    Args:
        marked: The sentence with its marks.
        file: Where it stands, for messages.
        where: Which sentence of the file it is, for messages.

    Returns:
        The sentence, and its phrases: `start`, `end` (characters of the sentence), `phrase_id` and `types`.

    Raises:
        InvalidAnnotation: If a mark is broken.
    """
    sentence, done, phrases = "", 0, []
    for mark in _PHRASE.finditer(marked):
        sentence += marked[done : mark.start()]
        words = mark["words"].strip()
        if words:
            phrases.append(
                {
                    "start": len(sentence),
                    "end": len(sentence) + len(words),
                    "phrase_id": mark["id"],
                    "types": mark["types"].split("/"),
                }
            )
        sentence += words
        done = mark.end()
    sentence += marked[done:]
    if "/EN#" in sentence:
        raise InvalidAnnotation(file, where, f"expected marks like [/EN#12/people a man], got {marked!r}")
    return sentence, phrases


def read_boxes(file: str | Path) -> dict[str, list[list[float]]]:
    """Reads the boxes of one image.

    Args:
        file: `Annotations/<id>.xml`.

    Returns:
        Boxes x1 y1 x2 y2 in pixels of each phrase id that has any; a box may belong to several ids.

    Raises:
        InvalidAnnotation: If the file is not such XML, or declares entities: these can make a small file grow without
            bound or read other files.
    """
    boxes: dict[str, list[list[float]]] = {}
    for number, item in enumerate(_parse_xml(file).iter("object"), start=1):
        ids = [name.text for name in item.findall("name")]
        if not ids or None in ids:
            raise InvalidAnnotation(file, f"object {number}", "expected at least one <name> with the id of a phrase")
        for found in item.findall("bndbox"):
            texts = {corner: found.findtext(corner, "").strip() for corner in _CORNERS}
            x1, y1, x2, y2 = (float(text) - 1 if text.isdecimal() else math.nan for text in texts.values())
            if not (x1 <= x2 and y1 <= y2):
                raise InvalidAnnotation(
                    file,
                    f"object {number}",
                    f"expected corners in whole pixels, the first not behind the last: {texts}",
                )
            for phrase_id in ids:
                boxes.setdefault(str(phrase_id), []).append([x1, y1, x2, y2])
    return boxes


def _parse_xml(file: str | Path) -> ElementTree.Element:
    def refuse(name: str, *_: object) -> None:
        raise InvalidAnnotation(file, "", f"the XML declares the entity {name!r}, which is not read")

    tree = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(Path(file).read_bytes(), True)
    except expat.ExpatError as error:
        raise InvalidAnnotation(file, "", f"not XML: {error}") from None
    return tree.close()


FLICKR30K_ENTITIES = Benchmark(
    name="flickr30k_entities",
    kind="phrase_grounding",
    summary="Flickr30k Entities: the boxes of what the phrases of a caption name",
    read=read_flickr30k_entities,
    options={
        "folder": Option(help="folder with Sentences/, Annotations/ and <split>.txt", required=True),
        "split_list": Option(help="file that lists the image ids of the split (default: <split>.txt of the folder)"),
    },
    reads_split=True,
    counts_left_out=True,
)
