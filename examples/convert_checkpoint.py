r"""Convert a checkpoint of another code base to a folder that `from_pretrained` loads.

ViLBERT as its paper's code saved it:

    python examples/convert_checkpoint.py --source vilbert_beta --checkpoint pytorch_model_9.bin \
        --config bert_base_6layer_6conect.json --tokenizer vocab.txt --output vilbert-base

VisualBERT as its paper's code saved it (the config may be uclanlp's own, comments included):

    python examples/convert_checkpoint.py --source uclanlp --checkpoint vqa_pre_trained.th \
        --config coco-pre-train.json --tokenizer vocab.txt --output visualbert-vqa

A fine-tuned checkpoint with the head of its task, and the names of its answers:

    python examples/convert_checkpoint.py --source vilbert_multi_task --checkpoint multi_task_model.bin \
        --config bert_base_6layer_6conect.json --task vqa --labels answers.txt --tokenizer vocab.txt \
        --output vilbert-vqa

A folder of transformers' own VisualBERT; those that were made from uclanlp's weights call a match row 1, and give
regions the token type 0, which their config.json does not say:

    python examples/convert_checkpoint.py --source transformers --checkpoint visualbert-vqa-coco-pre \
        --config visualbert-vqa-coco-pre --match-row 1 --visual-token-type-id 0 --tokenizer vocab.txt \
        --output visualbert-vqa
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_vl.command_line import CommandLine, tells_mistakes

TYPED_SOURCES = ("transformers", "uclanlp")
"""Code bases whose configs need not say which token type regions have."""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from modeling_vl.conversion import CODE_BASES

    parser = CommandLine(__doc__)
    parser.add_argument("--source", required=True, choices=list(CODE_BASES), help="code base the checkpoint is from")
    parser.add_argument("--checkpoint", required=True, help=".bin, .th, .pth, .ckpt or .safetensors file, or folder")
    parser.add_argument("--config", required=True, help="the model's config as that code base takes it")
    parser.add_argument(
        "--task",
        help="task whose head is kept: "
        + "; ".join(f"{name}: {', '.join(code_base.tasks)}" for name, code_base in CODE_BASES.items())
        + " (default: pre-training heads where there are any)",
    )
    parser.add_argument("--head", help="which head that is, where the checkpoint names its heads: VOLTA's TASK1")
    parser.add_argument(
        "--labels", help="names of the head's answers or classes: trainval_label2ans.pkl, JSON, or a line a name"
    )
    parser.add_argument("--tokenizer", help="tokenizer folder or vocab.txt (default: write no processor)")
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument(
        "--match-row",
        type=int,
        choices=[0, 1],
        help="row of the alignment head that means a match (default: what the code base trains)",
    )
    parser.add_argument(
        "--visual-token-type-id",
        type=int,
        choices=[0, 1],
        help=f"token type of regions, where the config of {' or '.join(TYPED_SOURCES)} does not say it: 0 in weights "
        "that uclanlp trained, 1 in those fine-tuned with transformers (default: 0 for uclanlp, 1 for transformers)",
    )
    return parser.parse_args()


def with_token_type(values: Mapping[str, Any], arguments: argparse.Namespace) -> Mapping[str, Any]:
    """The config with the token type of regions that was asked for.

    Args:
        values: The config.
        arguments: Of the command line.

    Returns:
        The config; unchanged where none was asked for.

    Raises:
        ValueError: The code base has no use for it, or the config says another one.
    """
    wanted = arguments.visual_token_type_id
    if wanted is None:
        return values
    if arguments.source not in TYPED_SOURCES:
        raise ValueError(f"--visual-token-type-id goes with --source {' or '.join(TYPED_SOURCES)}: leave it out")
    said = {**values, **values.get("model", {})}.get("visual_token_type_id", wanted)  # uclanlp nests them
    if said != wanted:
        raise ValueError(
            f"{arguments.config} says visual_token_type_id={said}: leave --visual-token-type-id {wanted} out, or "
            "correct the config"
        )
    return {**values, "visual_token_type_id": wanted}


def convert_files(arguments: argparse.Namespace) -> None:
    """Convert what the `arguments` name, and print what became of every weight."""
    from datasets_vl.tasks.answer_vocabulary import read_vocabulary
    from modeling_vl.conversion import CODE_BASES, ConversionError, convert, read_checkpoint, read_config_file
    from modeling_vl.conversion.folder import check_free, read_tokenizer, write_folder

    check_free(arguments.output)
    values = with_token_type(read_config_file(arguments.config), arguments)
    labels = read_vocabulary(arguments.labels) if arguments.labels else None
    checkpoint = read_checkpoint(arguments.checkpoint)
    print(f"{len(checkpoint.state)} tensors in {arguments.checkpoint} {checkpoint.place}".rstrip())
    if checkpoint.beside:
        print(f"left aside: {', '.join(checkpoint.beside)}")
    try:
        conversion = convert(
            CODE_BASES[arguments.source],
            values,
            checkpoint.state,
            arguments.match_row,
            task=arguments.task,
            entry=arguments.head,
            labels=labels,
        )
    except ConversionError as error:
        print(error.report)
        raise
    print(conversion.report)
    config = conversion.config
    tokenizer = read_tokenizer(arguments.tokenizer, config.vocab_size) if arguments.tokenizer else None
    write_folder(conversion, arguments.output, Path(arguments.checkpoint).name, tokenizer)
    print(f"wrote {arguments.output}; examples/push_to_hub.py writes its card and asks for the licence of the weights")


def main() -> None:
    """Read the command line and convert."""
    # The functions import torch themselves: Ctrl-C is then told in one line from the first moment on.
    with tells_mistakes(
        OSError, ValueError, interrupted="interrupted; name a new --output folder when starting again"
    ):
        convert_files(parse_arguments())


if __name__ == "__main__":
    main()
