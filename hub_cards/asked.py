"""What each kind of card asks for; files answer some of it, a person the rest."""

from __future__ import annotations

from .fields import Field, licence_fields

NOTES = Field(name="notes", what="further Markdown for the card", needed=False)
SCORES = Field(
    name="scores",
    what="files of scores, each FILE=what the model was measured on (written by run_evaluation.py --scores, "
    "run_retrieval.py, evaluate_pretraining.py --output or a fine-tuning); none for a model that was not measured",
    several=True,
)
STARTED_FROM = Field(
    name="started_from", what="what the training started from: a Hub id, or words such as fresh weights"
)
PARITY = Field(
    name="parity", what="how the conversion was compared with the original code, and the largest difference"
)

MODEL = (
    *licence_fields("weights_license", "the weights"),
    Field(name="data_license", what="licence or terms of the data that the model was trained on"),
    Field(name="training_data", what="what the model was trained on, in words"),
    Field(name="datasets", what="Hub ids of data sets that it was trained on", several=True, needed=False),
    Field(name="language", what="languages of the texts, as codes such as en", several=True),
    Field(name="detector", what="where the region features come from that the model was trained with"),
    Field(name="box_policy", what="how the detector's boxes were chosen", needed=False),
    Field(name="training", what="how it was trained, in words"),
    STARTED_FROM,
    PARITY,
    Field(name="hardware", what="what it was trained on"),
    Field(name="code_commit", what="commit of the code that trained or converted it"),
    SCORES,
    Field(name="intended_use", what="what the model is for"),
    Field(name="limits", what="what it is not for, and where it fails"),
    NOTES,
)

DATASET = (
    *licence_fields("data_license", "the features and boxes"),
    Field(name="images_license", what="licence or terms of the images that they were computed from"),
    Field(name="images", what="which images these are, in words"),
    Field(name="detector", what="where boxes and features come from"),
    Field(name="box_policy", what="how the detector's boxes were chosen"),
    Field(name="intended_use", what="what the data are for"),
    Field(name="limits", what="what they are not for, and what is wrong with them"),
    NOTES,
)

METRIC = (
    Field(name="code_commit", what="commit of the code that computes it"),
    Field(name="intended_use", what="what the metric is for"),
    Field(name="limits", what="what it does not measure"),
    NOTES,
)

SPACE = (
    Field(name="model", what="Hub id of the model, which must be there already"),
    Field(name="model_revision", what="its branch, tag or commit (default: main)", needed=False),
    Field(
        name="texts",
        what="example texts: expressions for a model that finds regions, else questions or captions",
        several=True,
    ),
    Field(name="images_license", what="licence or terms of the example images, their features and photos"),
    Field(name="title", what="title of the page (default: the name of the Space)", needed=False),
    Field(name="intended_use", what="what the page is for"),
    Field(name="limits", what="what its readers should not take it for"),
    NOTES,
)
