"""Questions about the built-in scenes as files in the layouts of VQA v2, GQA and VCR."""

from __future__ import annotations

import json
from pathlib import Path

from .scene_choices import SceneChoice, ask_with_choices
from .scene_files import SceneSplit, image_file, image_number, json_list, whole_file
from .scene_questions import SceneQuestion, answers_of_ten, ask
from .scenes import Scene, Stream

_MAX_QUESTIONS = 10
"""Numbers of questions set aside for each picture."""

_GQA_TYPES = {
    "colour": ("query", "attr", "directOf"),
    "shape": ("query", "cat", "categoryThatC"),
    "existence": ("verify", "obj", "existAttrC"),
    "relation": ("verify", "rel", "relVerify"),
    "neighbour": ("query", "rel", "categoryRelS"),
}
"""GQA's structural, semantic and detailed type of each kind of question. GQA has no questions of number."""


def write_vqa(folder: Path, split: SceneSplit) -> None:
    """Writes `v2_OpenEnded_scenes_<split>_questions.json` and `v2_scenes_<split>_annotations.json`.

    COCO numbers its images; here `image_id` is a text, so read these files with `image_id="cocoid"`.

    Args:
        folder: Where to.
        split: The scenes.
    """
    head = json.dumps({"info": {}, "license": {}, "data_type": "scenes", "data_subtype": split.name})[:-1]
    questions_head = f'{head}, "task_type": "Open-Ended", "questions": ['
    with (
        json_list(folder / f"v2_OpenEnded_scenes_{split.name}_questions.json", questions_head) as add_question,
        json_list(folder / f"v2_scenes_{split.name}_annotations.json", f'{head}, "annotations": [') as add_annotation,
    ):
        for scene in split:
            rng = scene.generator(Stream.QUESTIONS)
            for number, question in enumerate(ask(scene, rng)):
                ids = {"image_id": scene.image_id, "question_id": image_number(scene) * _MAX_QUESTIONS + number}
                add_question({**ids, "question": question.text})
                add_annotation({**ids, **_vqa_annotation(question, answers_of_ten(question, rng))})


def write_gqa(folder: Path, split: SceneSplit) -> None:
    """Writes `<split>_balanced_questions.json`, with other questions than `write_vqa`.

    Args:
        folder: Where to.
        split: The scenes.
    """
    with whole_file(folder / f"{split.name}_balanced_questions.json") as file:
        separator = "{\n"
        for scene in split:
            asked = ask(scene, scene.generator(Stream.MORE_QUESTIONS))
            for number, question in enumerate(asked):
                if question.kind in _GQA_TYPES:
                    key = f"{image_number(scene) * _MAX_QUESTIONS + number:09d}"
                    file.write(f"{separator}{json.dumps(key)}: {json.dumps(_gqa_entry(scene, question))}")
                    separator = ",\n"
        file.write("\n}\n")


def write_vcr(folder: Path, split: SceneSplit) -> None:
    """Writes `<split>.jsonl` and for every scene `vcr1images/<split>/<image id>.json`.

    Pictures are named by their files, so read these files with `image_id="file_name"`.

    Args:
        folder: Where to.
        split: The scenes.
    """
    images = folder / "vcr1images"
    (images / split.name).mkdir(parents=True, exist_ok=True)
    with whole_file(folder / f"{split.name}.jsonl") as file:
        for scene in split:
            with whole_file(images / _vcr_metadata_file(scene)) as metadata:
                metadata.write(json.dumps(_vcr_metadata(scene)))
            for number, choice in enumerate(ask_with_choices(scene, scene.generator(Stream.CHOICES))):
                file.write(json.dumps(_vcr_row(scene, number, choice)) + "\n")


def _vqa_annotation(question: SceneQuestion, answers: list[str]) -> dict[str, object]:
    return {
        "question_type": question.opening,
        "answer_type": question.answer_type,
        "multiple_choice_answer": question.answer,
        "answers": [
            {"answer": answer, "answer_confidence": "yes", "answer_id": person}
            for person, answer in enumerate(answers, start=1)
        ],
    }


def _gqa_entry(scene: Scene, question: SceneQuestion) -> dict[str, object]:
    structural, semantic, detailed = _GQA_TYPES[question.kind]
    return {
        "semantic": [],
        "entailed": [],
        "equivalent": [],
        "question": question.text,
        "imageId": scene.image_id,
        "isBalanced": True,
        "groups": {"global": question.kind, "local": f"{question.kind}-{question.text.rstrip('?').split()[-1]}"},
        "answer": question.answer,
        "semanticStr": "",
        "annotations": {"answer": {}, "question": {}, "fullAnswer": {}},
        "types": {"detailed": detailed, "semantic": semantic, "structural": structural},
        "fullAnswer": f"{question.answer}.",
    }


def _vcr_metadata_file(scene: Scene) -> str:
    return f"{scene.split}/{scene.image_id}.json"


def _vcr_metadata(scene: Scene) -> dict[str, object]:
    boxes = [[round(corner, 2) for corner in item.box] for item in scene.objects]
    return {
        "boxes": [[*box, 1.0] for box in boxes],
        "segms": [[[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]] for x1, y1, x2, y2 in boxes],
        "names": [item.shape for item in scene.objects],
        "width": scene.width,
        "height": scene.height,
    }


def _vcr_row(scene: Scene, number: int, choice: SceneChoice) -> dict[str, object]:
    return {
        "movie": scene.split,
        "objects": [item.shape for item in scene.objects],
        "img_fn": f"{scene.split}/{image_file(scene)}",
        "metadata_fn": _vcr_metadata_file(scene),
        "question": choice.question,
        "answer_choices": choice.answers,
        "answer_label": choice.answer_label,
        "rationale_choices": choice.rationales,
        "rationale_label": choice.rationale_label,
        "img_id": f"{scene.split}-{scene.index}",
        "question_number": number,
        "annot_id": f"{scene.split}-{scene.index}-{number}",
    }
