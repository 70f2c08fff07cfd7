"""What a conversion did, and the error that says what it could not do."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from configuration_vl.configuration_vision_language import VisionLanguageConfig


@dataclass
class ConversionReport:
    """Every key of a checkpoint and of its config, and what became of it.

    Names are those of the code base, without wrappers such as `module.`.

    Attributes:
        code_base: Where the checkpoint comes from.
        architecture: Our class that holds the weights.
        renamed: Name in the checkpoint to name in our model, which may be the same.
        dropped: Name in the checkpoint to the reason why our model does without it.
        filled: Weights of our model that the code base has not, to the reason why zeros compute the same.
        missing: Weights of our model that the checkpoint lacks.
        unexpected: Names in the checkpoint that no rule explains.
        mismatched: Name in the checkpoint to the two shapes that differ.
        unused_config: Config key to the reason why it changes nothing.
        unknown_config: Config keys that nobody knows.
        notes: What else a reader should know.
    """

    code_base: str
    architecture: str = ""
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)
    unused_config: dict[str, str] = field(default_factory=dict)
    unknown_config: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every weight of both sides is accounted for."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """Counts, and names, one line a name, but for those that stay as they are."""
        changed = {name: target for name, target in self.renamed.items() if name != target}
        kept = len(self.renamed) - len(changed)
        lines = [
            f"{self.code_base} -> {self.architecture}: {len(changed)} renamed, {kept} kept, {len(self.dropped)} "
            f"dropped, {len(self.missing)} missing, {len(self.unexpected)} unexpected, {len(self.mismatched)} of "
            "another shape"
        ]
        lines += [f"  renamed     {name} -> {target}" for name, target in changed.items()]
        lines += [f"  dropped     {name}: {reason}" for name, reason in self.dropped.items()]
        lines += [f"  zeros       {name}: {reason}" for name, reason in self.filled.items()]
        lines += [f"  missing     {name}" for name in self.missing]
        lines += [f"  unexpected  {name}" for name in self.unexpected]
        lines += [f"  shape       {name}: {shapes}" for name, shapes in self.mismatched.items()]
        lines += [f"  config      {key} not used: {reason}" for key, reason in self.unused_config.items()]
        lines += [f"  config      {key} is unknown and was not used" for key in self.unknown_config]
        return "\n".join(lines + [f"  note        {note}" for note in self.notes])

    def raise_if_incomplete(self) -> None:
        """Refuse a conversion that leaves something unexplained.

        Raises:
            ConversionError: Naming every missing and unexpected weight and every shape that differs.
        """
        if self.complete:
            return
        parts = [
            f"{len(self.missing)} weights of {self.architecture} are missing: {', '.join(self.missing)}"
            if self.missing
            else "",
            f"{len(self.unexpected)} names are unexpected: {', '.join(self.unexpected)}" if self.unexpected else "",
            "shapes differ: " + ", ".join(f"{name} ({shapes})" for name, shapes in self.mismatched.items())
            if self.mismatched
            else "",
        ]
        raise ConversionError(
            f"the checkpoint does not fit {self.code_base} with this config. {'; '.join(filter(None, parts))}. Check "
            "that the source is right and that the config belongs to the checkpoint",
            self,
        )


class ConversionError(ValueError):
    """A checkpoint that cannot be converted.

    Args:
        message: What is wrong.
        report: How far the conversion came.
    """

    def __init__(self, message: str, report: ConversionReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass
class Conversion:
    """A converted checkpoint.

    Attributes:
        config: Our configuration.
        state: Our state dict.
        report: What was done.
    """

    config: VisionLanguageConfig
    state: dict[str, Tensor]
    report: ConversionReport
