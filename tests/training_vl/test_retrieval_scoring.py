"""Scores of all pairs: in memory, on the disk, and on the disk after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from datasets_vl.captions import read_captions
from datasets_vl.tasks.caption_retrieval import RetrievalSplit
from metrics_vl.recall import chance_recall_at_k, recall_at_k, score_retrieval
from tests.training_vl.retrieval_data import arguments_of, write_photos
from training_vl import retrieval_scoring
from training_vl.exchanged_images import ExchangedImages
from training_vl.first_stage import FirstStage
from training_vl.retrieval_arguments import parse_retrieval_arguments
from training_vl.retrieval_report import measure_recalls, write_rankings
from training_vl.retrieval_scoring import UNRANKED, PairScorer, ScoreFiles, score_in_memory, score_to_disk
from training_vl.retrieval_training import retrieval_model, set_up_retrieval


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> PairScorer:
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    arguments = parse_retrieval_arguments(arguments_of(photos, photos / "run", "vilbert", "--start", "least_squares"))
    parts = set_up_retrieval(arguments)
    model = retrieval_model(arguments, parts)
    return PairScorer(model, parts.processor, parts.validation, max_text_length=12)


@pytest.fixture(scope="module")
def training_photos(scorer: PairScorer) -> RetrievalSplit:
    photos = scorer.split.regions.folder.parent
    return RetrievalSplit.of(read_captions(photos / "captions.jsonl", split="train"), scorer.split.regions)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval_scoring, "TEXTS_A_BLOCK", 7)


def test_parts_of_the_texts_and_of_the_images_change_nothing(
    scorer: PairScorer, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scorer.score(slice(0, 40))
    np.testing.assert_allclose(score_in_memory(scorer, Accelerator(cpu=True)), whole, atol=1e-5)
    monkeypatch.setattr(retrieval_scoring, "IMAGES_AT_ONCE", 6)
    parted = PairScorer(scorer.model, scorer.processor, scorer.split, max_text_length=12, pairs_per_chunk=10)
    np.testing.assert_allclose(parted.score(slice(0, 40)), whole, atol=1e-5)


def test_an_interrupted_scoring_does_only_what_is_missing(
    scorer: PairScorer, small_blocks: None, tmp_path: Path
) -> None:
    accelerator = Accelerator(cpu=True)
    whole = np.array(score_to_disk(scorer, tmp_path, accelerator)[:])
    files = sorted(tmp_path.glob("*.npy"))
    assert [file.name for file in files[:2]] == ["texts-00000000.npy", "texts-00000007.npy"]
    assert len(files) == 6
    kept = {file: file.stat().st_mtime_ns for file in files if file != files[3]}
    files[3].rename(files[3].with_name(f"{files[3].name}.partial"))
    with pytest.raises(FileNotFoundError, match="lacks the scores of the texts from 21 on"):
        ScoreFiles(tmp_path, (40, 20))
    np.testing.assert_array_equal(score_to_disk(scorer, tmp_path, accelerator)[:], whole)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    with torch.no_grad():
        scorer.model.cls.seq_relationship.bias[0] += 1
    try:
        with pytest.raises(ValueError, match="holds scores of something else: model was '[0-9a-f]{16}', is '"):
            score_to_disk(scorer, tmp_path, accelerator)
    finally:
        with torch.no_grad():
            scorer.model.cls.seq_relationship.bias[0] -= 1


def test_any_rows_can_be_read_and_recalls_are_those_of_the_matrix(
    scorer: PairScorer, small_blocks: None, tmp_path: Path
) -> None:
    scores = score_to_disk(scorer, tmp_path, Accelerator(cpu=True))
    whole = scorer.score(slice(0, 40))
    for rows in (slice(0, 7), slice(3, 25), slice(14, 21), slice(38, 60), slice(5, 5)):
        np.testing.assert_allclose(scores[rows], whole[rows], atol=1e-5)
    owners = scorer.split.owners
    assert score_retrieval(scores, owners, rows_per_chunk=9) == score_retrieval(whole, owners)


def test_the_table_is_that_of_the_whole_matrix_and_has_its_control(scorer: PairScorer, tmp_path: Path) -> None:
    whole, split = scorer.score(slice(0, 40)), scorer.split
    table = measure_recalls(whole, split)
    relevant = split.owners[:, None] == np.arange(20)
    exchanged = ExchangedImages(whole)[:]
    np.testing.assert_array_equal(np.sort(exchanged, axis=1), np.sort(whole, axis=1))
    for direction, turn in (("caption to image", np.asarray), ("image to caption", np.transpose)):
        for k in (1, 5, 10):
            row = table[f"{direction} R@{k}"]
            assert row["model"] == pytest.approx(recall_at_k(turn(whole), turn(relevant))[k])
            assert row["exchanged"] == pytest.approx(recall_at_k(turn(exchanged), turn(relevant))[k])
            assert row["chance"] == pytest.approx(chance_recall_at_k(turn(relevant))[k])
            assert row["low"] < row["model"] <= row["high"]
    write_rankings(tmp_path / "rankings.jsonl", whole, split)
    lines = (tmp_path / "rankings.jsonl").read_text().splitlines()
    assert len(lines) == 40
    hits = sum('"rank": 1,' in line for line in lines)
    assert hits / 40 == pytest.approx(table["caption to image R@1"]["model"])


@pytest.mark.parametrize("images_at_once", [1024, 6], ids=["images in memory", "images a part at a time"])
def test_a_first_stage_leaves_the_model_the_best_images(
    scorer: PairScorer, images_at_once: int, monkeypatch: pytest.MonkeyPatch, training_photos: RetrievalSplit
) -> None:
    monkeypatch.setattr(retrieval_scoring, "IMAGES_AT_ONCE", images_at_once)
    stage = FirstStage(scorer.model, scorer.processor, training_photos, max_text_length=12)
    two_stages = PairScorer(
        scorer.model, scorer.processor, scorer.split, max_text_length=12, first_stage=stage, top_k=8
    )
    whole, found = scorer.score(slice(3, 40)), two_stages.score(slice(3, 40))
    ranked = found > UNRANKED / 2
    assert (ranked.sum(1) == 8).all()
    np.testing.assert_allclose(found[ranked], whole[ranked], atol=1e-5)
    similarities = stage.text_vectors(scorer.split, slice(3, 40)) @ stage.image_vectors(scorer.split).T
    np.testing.assert_allclose(found[~ranked], similarities.numpy()[~ranked] + UNRANKED, atol=1e-3)
    owners = scorer.split.owners[3:40]
    # Eight of twenty images: by chance the right one is among them in 40 % of the cases.
    assert ranked[np.arange(37), owners].mean() > 0.9


def test_scores_of_two_stages_are_not_mixed_with_those_of_one(
    scorer: PairScorer, training_photos: RetrievalSplit, tmp_path: Path
) -> None:
    accelerator = Accelerator(cpu=True)
    stage = FirstStage(scorer.model, scorer.processor, training_photos, max_text_length=12)
    parts = (scorer.model, scorer.processor, scorer.split)
    score_to_disk(PairScorer(*parts, max_text_length=12, first_stage=stage, top_k=8), tmp_path, accelerator)
    with pytest.raises(ValueError, match="first_stage was '.*', is None; top_k was 8, is None"):
        score_to_disk(scorer, tmp_path, accelerator)
