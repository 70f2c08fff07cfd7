"""8-bit weights and activations for CPUs, from an exported ONNX file."""

from __future__ import annotations

import logging
from pathlib import Path


def quantize_onnx(source: str | Path, target: str | Path) -> None:
    """Write the same model with 8-bit weights, whose activations are rounded to 8 bits while it runs.

    Matrix products with weights and tables of embeddings become integers; the products of attention, layer norms and
    biases stay float32.

    Args:
        source: A float32 `.onnx` file.
        target: The file to write.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logger = logging.getLogger()  # onnxruntime advises through the root logger what torch's exporter has done already
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logger.setLevel(level)
