"""transformers' pipelines over texts and region features: answers, rankings of images, and regions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from transformers.pipelines.base import Pipeline

from processing_vl.feature_extraction_regions import as_region_features


class RegionPipeline(Pipeline):
    """A pipeline that reads texts and regions with the processor, and gives what the model's `predict` gives.

    An example is a mapping with `text` and `regions`, the image as `RegionTextProcessor` takes it. Lists, data sets
    and generators of examples are read in batches of `batch_size`; neither texts nor images need be equally long.
    Without a list, the one result comes alone.

    Args:
        model: A model of the pipeline's task.
        **kwargs: As in transformers' `Pipeline`; `processor` is needed. `top_k` may be given here or in a call.

    Raises:
        ValueError: There is no processor, or the model is of another task.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_feature_extractor = False
    _load_image_processor = False
    _load_video_processor = False

    model_task: ClassVar[str]
    """Name of the class of the model's `task`."""
    options: ClassVar[tuple[str, ...]] = ("top_k",)

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        if self.processor is None:
            raise ValueError(f"{type(self).__name__} reads texts and regions with a processor: give processor=...")
        found = type(getattr(model, "task", None)).__name__
        if found != self.model_task:
            raise ValueError(f"{type(self).__name__} needs a model for {self.model_task}, got {type(model).__name__}")

    @abstractmethod
    def predict_batch(self, batch: Mapping[str, Sequence[Any]], **options: Any) -> list[Any]:
        """Results of a batch.

        Args:
            batch: `text`, and `regions` where examples have them: one a example.
            **options: Of the call.

        Returns:
            One result an example.
        """

    def __call__(self, inputs: Any = None, *, text: Any = None, regions: Any = None, **options: Any) -> Any:
        """Run examples.

        Args:
            inputs: An example, or a list, data set or generator of them.
            text: Instead of `inputs`: one text, or a list of texts.
            regions: With `text`: the image of the text, or a list of as many images as texts.
            **options: `top_k`, `batch_size` and `num_workers`.

        Returns:
            A result, or for a list the results, or for data sets and generators an iterator over them.

        Raises:
            ValueError: An example has not what the task needs.
        """
        if inputs is None:
            inputs = _paired(text, regions)
        elif text is not None or regions is not None:
            raise ValueError("give examples, or text= and regions=, not both")
        return self.run(inputs, **options)

    def run(self, inputs: Any, **options: Any) -> Any:
        """`__call__` with examples; an empty list has no results."""
        return [] if isinstance(inputs, list) and not inputs else super().__call__(inputs, **options)

    def preprocess(self, input_: Any) -> dict[str, Any]:
        """Check an example; texts and regions are encoded a batch at a time, where they are padded as well."""
        if not isinstance(input_, Mapping) or input_.keys() != {"text", "regions"}:
            given = sorted(input_) if isinstance(input_, Mapping) else type(input_).__name__
            raise ValueError(f"an example is a mapping with 'text' and 'regions', got {given}")
        if not isinstance(input_["text"], str):
            raise ValueError(f"the 'text' of an example is one string, got {type(input_['text']).__name__}")
        return dict(input_)

    def _forward(self, input_tensors: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        if isinstance(input_tensors["text"], list):
            return {"results": self.predict_batch(input_tensors, **options)}
        (result,) = self.predict_batch({name: [value] for name, value in input_tensors.items()}, **options)
        return {"results": result}

    def postprocess(self, model_outputs: Mapping[str, Any]) -> Any:
        """The result of an example."""
        return model_outputs["results"]

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        unknown = sorted(options.keys() - {*self.options})
        if unknown:
            known = [*self.options, "batch_size", "num_workers"]
            raise ValueError(f"{type(self).__name__} does not know {unknown}; it takes {known}")
        return {}, options, {}

    def save_pretrained(self, save_directory: str | PathLike, **kwargs: Any) -> None:
        """Save the model and the processor, which transformers alone leaves out.

        Args:
            save_directory: The folder.
            **kwargs: As in the model's `save_pretrained`.
        """
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)


class RegionVisualQuestionAnsweringPipeline(RegionPipeline):
    """Answers questions about images: `pipeline("region-visual-question-answering")`.

    A result is `{"answer": name, "score": probability}` for each of the `top_k` best answers (1 unless given).
    """

    model_task = "QuestionAnswering"

    def predict_batch(self, batch: Mapping[str, Sequence[Any]], **options: Any) -> list[list[dict[str, Any]]]:
        """See `RegionPipeline.predict_batch`."""
        return self.model.predict(**self.processor(text=batch["text"], regions=batch["regions"]), **options)


class RegionGroundingPipeline(RegionPipeline):
    """Finds the regions that expressions refer to: `pipeline("region-grounding")`.

    A result is `{"region": row, "score": probability, "box": [x1, y1, x2, y2]}` for each of the `top_k` best regions
    (1 unless given): the row among the regions given and its box in pixels. The row is None for a region that the
    processor added for the whole image.
    """

    model_task = "RegionGrounding"

    def predict_batch(self, batch: Mapping[str, Sequence[Any]], **options: Any) -> list[list[dict[str, Any]]]:
        """See `RegionPipeline.predict_batch`."""
        extractor = self.processor.feature_extractor
        images = [extractor.limit(as_region_features(image, row)) for row, image in enumerate(batch["regions"])]
        inputs = self.processor(text=batch["text"], regions=images)
        boxes = extractor.pad([image.boxes for image in images], images)
        rows = extractor.pad([np.arange(image.num_regions) for image in images], images, fill=-1)
        for image, image_boxes in zip(images, boxes, strict=True):
            if extractor.adds_global_region(image):
                image_boxes[extractor.global_place(image), 2:] = image_boxes.new_tensor([image.width, image.height])
        found = self.model.predict(**inputs, boxes=boxes.tolist(), **options)
        return [
            [{**one, "region": row if (row := image_rows[one["region"]].item()) >= 0 else None} for one in of_image]
            for of_image, image_rows in zip(found, rows, strict=True)
        ]


class ImageTextRetrievalPipeline(RegionPipeline):
    """Ranks images for texts: `pipeline("image-text-retrieval")`.

    An example is a text, and the images are given once for all of them; or it is a mapping with `text` and `regions`,
    a list of images of its own. A result is `{"image": row, "score": score}` for each of the `top_k` best images (all
    unless given), best first.
    """

    model_task = "ImageTextRetrieval"
    options = ("top_k", "images")

    def __call__(self, inputs: Any = None, *, text: Any = None, regions: Any = None, **options: Any) -> Any:
        """Rank images for texts.

        Args:
            inputs: A text or a mapping, or a list, data set or generator of them.
            text: Another name for `inputs`.
            regions: Images to rank for every text; they are read once a batch of texts.
            **options: `top_k`, `batch_size` and `num_workers`.

        Returns:
            A result, or for a list the results, or for data sets and generators an iterator over them.

        Raises:
            ValueError: A text has no images.
        """
        if (inputs is None) == (text is None):
            raise ValueError("give texts, either as the first argument or as text=")
        if regions is not None:
            options["images"] = self.processor(regions=regions)
        return self.run(text if inputs is None else inputs, **options)

    def preprocess(self, input_: Any) -> dict[str, Any]:
        """See `RegionPipeline.preprocess`; a text may also come alone."""
        return {"text": input_} if isinstance(input_, str) else super().preprocess(input_)

    def predict_batch(
        self, batch: Mapping[str, Sequence[Any]], images: Mapping[str, Any] | None = None, **options: Any
    ) -> list[list[dict[str, Any]]]:
        """See `RegionPipeline.predict_batch`.

        Args:
            batch: Texts, with images of their own or without.
            images: Encoded images for texts that come alone.
            **options: Of the call.
        """
        if "regions" in batch:
            if images is not None:
                raise ValueError("an example brings images of its own, and regions=[...] others: give one of them")
            return [
                self._rank([text], self.processor(regions=own), **options)[0]
                for text, own in zip(batch["text"], batch["regions"], strict=True)
            ]
        if images is None:
            raise ValueError("there are no images to rank: give regions=[...], or examples with 'text' and 'regions'")
        return self._rank(batch["text"], images, **options)

    def _rank(self, texts: Sequence[str], images: Mapping[str, Any], **options: Any) -> list[list[dict[str, Any]]]:
        return self.model.predict(**self.processor(text=texts), **images, **options)


def _paired(text: Any, regions: Any) -> Any:
    if text is None or regions is None:
        raise ValueError("give examples, or text= and regions=")
    if isinstance(text, str):
        return {"text": text, "regions": regions}
    if not isinstance(regions, Sequence) or len(text) != len(regions):
        given = f"{len(regions)} images" if isinstance(regions, Sequence) else "one image"
        raise ValueError(f"{len(text)} texts and {given}: give a list of as many images as texts")
    return [{"text": one, "regions": image} for one, image in zip(text, regions, strict=True)]
