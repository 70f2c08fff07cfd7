"""From a model to a file that runs without this package: ONNX, or a program of `torch.export`."""

from .answering import ExportedTask
from .checking import TOLERANCE, largest_differences
from .files import FORMATS, ExportedModel, open_exported
from .folder import Export, export_model, load_model
from .interface import FURTHER_INPUTS, Input, inputs_of, random_inputs
from .tracing import trace

__all__ = [
    "FORMATS",
    "FURTHER_INPUTS",
    "TOLERANCE",
    "Export",
    "ExportedModel",
    "ExportedTask",
    "Input",
    "export_model",
    "inputs_of",
    "largest_differences",
    "load_model",
    "open_exported",
    "random_inputs",
    "trace",
]
