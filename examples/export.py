r"""Export a ViLBERT or VisualBERT to a file that runs without this package, and hold it against the model.

    python examples/export.py runs/vilbert-vqa exported/vqa.onnx
    python examples/export.py runs/vilbert-vqa exported/vqa.pt2

An `.onnx` file is for ONNX Runtime, a `.pt2` file for `torch.export.load`. Batch, text length and number of regions
are free. The file is run at other sizes than those it was traced with; when an output differs from the model's by more
than 1e-5 (of its size, where that is above 1), nothing is written. Config and processor go beside the file, so that
`AutoProcessor.from_pretrained("exported")` makes its inputs; `vqa.onnx.json` names these and the outputs.

8-bit weights and activations for CPUs; what that costs is printed:

    python examples/export.py runs/vilbert-vqa exported-int8/vqa.onnx --int8

Links of regions to words as a further input, and one task of a multi-task model:

    python examples/export.py runs/visualbert-vcr exported/vcr.onnx --inputs image_text_alignment
    python examples/export.py runs/12-in-1 exported/refcoco.onnx --task refcoco
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from datasets_vl.command_line import CommandLine, tells_mistakes

if TYPE_CHECKING:
    from modeling_vl.export import Export


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    parser.add_argument("model", help="folder or Hub id of a model")
    parser.add_argument("output", help="file to write, .onnx or .pt2")
    parser.add_argument("--task", help="task of a multi-task model, a key of its multi_task_heads")
    parser.add_argument(
        "--inputs",
        nargs="+",
        default=[],
        metavar="NAME",
        help="further inputs: image_text_alignment, visual_token_type_ids, position_ids (default: none)",
    )
    parser.add_argument("--int8", action="store_true", help="8-bit weights and activations, for .onnx")
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the file and compare it with the model (default: yes)",
    )
    return parser.parse_args()


def tell(export: Export) -> None:
    """Print inputs, outputs and differences of an `export`."""
    for title, arrays in (("inputs", export.inputs), ("outputs", export.outputs)):
        print(title)
        for name, axes in arrays.items():
            print(f"  {name} [{', '.join(map(str, axes))}]")
    if export.differences is None:
        print("not compared with the model")
    else:
        name, difference = max(export.differences.items(), key=lambda item: item[1])
        print(f"largest difference from the model: {difference:.3g} ({name})")
    if export.size_share is not None:
        print(f"8 bits: {export.size_share:.0%} of the size in float32")
    print(f"wrote {export.path}")


def main() -> None:
    """Export, and tell what was written."""
    # The functions import torch themselves, so that --help and mistakes on the command line are answered at once.
    with tells_mistakes(OSError, ValueError, interrupted="interrupted; nothing was written"):
        arguments = parse_arguments()
        from modeling_vl.export import export_model

        export = export_model(
            arguments.model,
            arguments.output,
            task=arguments.task,
            further=arguments.inputs,
            check=arguments.check,
            int8=arguments.int8,
        )
        tell(export)


if __name__ == "__main__":
    main()
