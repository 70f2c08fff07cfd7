"""Which Python files travel with a saved config, model or processor, and which class each Auto class finds in them.

A folder on the Hub is also loaded by people who have none of these packages: with `trust_remote_code=True` the classes
come from Python files in the folder. Those are written whenever a config or a processor is saved, so by a model's
`save_pretrained`, by `push_to_hub` and by the Trainer too. Upper floors tell what they have: `register_model_class`,
`register_pipeline`. Code that was itself loaded from a folder knows no registered classes; it saves the files that the
folder's own `auto_map` names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from transformers.utils import logging

from .hub_files import is_flat_copy, write_flat_copies

logger = logging.get_logger(__name__)


class _Pipeline(NamedTuple):
    implementation: type
    auto_class: str
    architectures: frozenset[str]


_packages: dict[str, Path] = {}
"""Folders of the packages whose files travel."""
_model_classes: dict[type, dict[type, type]] = {}
"""Per config class, the model class of each Auto class."""
_own_names: set[str] = set()
"""Names of all classes that are or were registered."""
_pipelines: dict[str, _Pipeline] = {}
"""Pipelines by the names of their tasks."""


class CarriesCode:
    """An object whose folder carries the Python files that loading it needs; put in front of transformers' class.

    A class that travels names its Auto class, as in `class Extractor(CarriesCode, FeatureExtractionMixin,
    auto_class="AutoFeatureExtractor")`. A subclass of it does not travel unless it names one as well.
    """

    auto_class: ClassVar[str]

    def __init_subclass__(cls, auto_class: str | None = None, **kwargs: Any) -> None:
        if auto_class is not None:
            cls.auto_class = auto_class
            _add_package(cls)
        super().__init_subclass__(**kwargs)

    def auto_classes(self) -> dict[str, type]:
        """What the Auto classes find in the folder: nothing for a subclass that does not travel."""
        own = type(self)
        return {own.auto_class: own} if "auto_class" in vars(own) else {}

    def companions(self) -> list[type]:
        """Further classes whose files travel; whoever loads one and saves again saves the files of all."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """What is saved, with the `auto_map` that tells each Auto class the file and the class."""
        saved = super().to_dict()
        auto_map = {name: _reference(cls) for name, cls in self.auto_classes().items()}
        auto_map |= saved.get("auto_map") or {}  # a user's own class (`register_for_auto_class`) has the last word
        return {**saved, "auto_map": auto_map} if auto_map else saved

    def save_pretrained(self, save_directory: str | PathLike, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """Save, together with the Python files that loading with `trust_remote_code=True` needs.

        Args:
            save_directory: The folder; made when missing.
            push_to_hub: Whether to upload it as well.
            **kwargs: As in transformers' class, for example `repo_id`.

        Returns:
            What transformers' class returns.

        Raises:
            FileExistsError: A file in the folder has the name of one that travels, but was not written by this.
            ValueError: A file that has to travel imports others in a way that does not work in a flat folder.
        """
        if not Path(save_directory).is_file():  # transformers says what is wrong with that
            self._write_code(Path(save_directory))
        # As text: the processor of transformers 5.23 fails on a `Path` when it is told to push.
        return super().save_pretrained(fspath(save_directory), push_to_hub=push_to_hub, **kwargs)

    def _write_code(self, folder: Path) -> None:
        imports = {_file(cls): f"from .{_file(cls).stem} import {cls.__name__}" for cls in self.companions()}
        links = {file: sorted(line for other, line in imports.items() if other != file) for file in imports}
        roots = {*map(_file, self.auto_classes().values()), *imports, *self._files_beside()}
        write_flat_copies(folder, roots, _packages, links)

    def _files_beside(self) -> set[Path]:
        """Files in the folder this code was loaded from, as far as the `auto_map` names them."""
        own, saved = _file(type(self)), self.to_dict()
        named = [*saved.get("auto_map", {}).values()]
        named += [pipeline["impl"] for pipeline in saved.get("custom_pipelines", {}).values()]
        files = {own.with_name(f"{name.partition('.')[0]}.py") for name in named if isinstance(name, str)}
        return {file for file in files if file.is_file()}

    def _get_files_timestamps(self, working_dir: str | PathLike) -> dict[str, float]:
        """What transformers notes before it saves, to upload what is newer: our files are there and shall go along."""
        stamps = super()._get_files_timestamps(working_dir)
        ours = {path.name for path in Path(working_dir).glob("*.py") if is_flat_copy(path)}
        return {name: stamp for name, stamp in stamps.items() if name not in ours}


class CarriesModelCode(CarriesCode):
    """A config whose folder carries the files of the models and pipelines that are registered for it.

    These are all classes that an Auto class of transformers can name, so that a pre-trained folder can be fine-tuned,
    and the class of `architectures`.
    """

    def auto_classes(self) -> dict[str, type]:
        """The config itself, and the models."""
        classes = super().auto_classes()
        for auto_class, model_class in _model_classes.get(type(self), {}).items():
            is_of_transformers = auto_class.__module__.startswith("transformers.")
            if is_of_transformers or model_class.__name__ in (self.architectures or ()):
                classes[auto_class.__name__] = model_class
        return classes

    def companions(self) -> list[type]:
        """The models, and the pipelines of the class in `architectures`."""
        models = [cls for cls in self.auto_classes().values() if cls is not type(self)]
        return models + [pipeline.implementation for pipeline in self._own_pipelines().values()]

    def to_dict(self) -> dict[str, Any]:
        """What is saved, with an `auto_map` and `custom_pipelines`."""
        saved = super().to_dict()
        pipelines = {
            task: {"impl": _reference(pipeline.implementation), "pt": [pipeline.auto_class], "type": "multimodal"}
            for task, pipeline in self._own_pipelines().items()
        }
        others = saved.pop("custom_pipelines", None) or {}
        pipelines |= {task: pipeline for task, pipeline in others.items() if task not in _pipelines}
        return {**saved, "custom_pipelines": pipelines} if pipelines else saved

    def without_own_code(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Entries of a saved config without those that are written anew whenever it is saved.

        transformers takes a pipeline from the folder as soon as the config names it; where it is registered, the
        registered one is meant.

        Args:
            entries: Keyword arguments of the config.

        Returns:
            The rest.
        """
        if type(self) not in _model_classes:
            return dict(entries)
        names = {type(self).__name__, *_own_names}
        rest = dict(entries)
        for key, is_own in (
            ("auto_map", lambda _, value: str(value).rpartition(".")[2] in names),
            ("custom_pipelines", lambda task, _: task in _pipelines),
        ):
            kept = {name: value for name, value in (rest.pop(key, None) or {}).items() if not is_own(name, value)}
            rest |= {key: kept} if kept else {}
        return rest

    def _own_pipelines(self) -> dict[str, _Pipeline]:
        if type(self) not in _model_classes:
            return {}
        return {
            task: one for task, one in _pipelines.items() if one.architectures.intersection(self.architectures or ())
        }

    def _write_code(self, folder: Path) -> None:
        unknown = sorted({*(self.architectures or ())} - _own_names)
        if unknown and type(self) in _model_classes:
            logger.warning_once(
                f"{', '.join(unknown)}: the saved folder does not carry its code, so with trust_remote_code=True it "
                "loads as the class of this package. Register your own class with "
                "configuration_vl.hub_code.register_model_class to have it travel"
            )
        super()._write_code(folder)


def register_model_class(config_class: type, auto_class: type, model_class: type) -> None:
    """Have a model class travel with configs of a class.

    Args:
        config_class: The config class.
        auto_class: The Auto class that shall find the model. Those of transformers find it in every folder, others
            only in folders of that model (`architectures`).
        model_class: The model. It lies in a file that can travel: one that imports files of this package, or its
            neighbours, only as `from .file import name` or `from package.file import name`.

    Raises:
        ValueError: The class is defined in a script or notebook, which no file can be copied of.
    """
    _add_package(model_class)
    _model_classes.setdefault(config_class, {})[auto_class] = model_class
    _own_names.add(model_class.__name__)


def register_pipeline(task: str, implementation: type, auto_class: type, model_classes: Iterable[type]) -> None:
    """Have a pipeline travel with the models it is for.

    Args:
        task: What `transformers.pipeline` calls it.
        implementation: The pipeline's class.
        auto_class: The Auto class of transformers that loads its model.
        model_classes: The model classes whose folders it works with.
    """
    _add_package(implementation)
    _pipelines[task] = _Pipeline(implementation, auto_class.__name__, frozenset(cls.__name__ for cls in model_classes))


def _add_package(cls: type) -> None:
    package = cls.__module__.rpartition(".")[0]
    if cls.__module__ == "__main__":
        raise ValueError(
            f"{cls.__name__} is defined in a script or notebook; put it into a file of its own to save it"
        )
    if package:
        _packages[package] = _file(cls).parent


def _file(cls: type) -> Path:
    return Path(sys.modules[cls.__module__].__file__)


def _reference(cls: type) -> str:
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
