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

A folder of transformers' own VisualBERT; those that were made from uclanlp's weights call a match row 1, and want
`"visual_token_type_id": 0` in their config.json:

    python examples/convert_checkpoint.py --source transformers --checkpoint visualbert-vqa-coco-pre \
        --config visualbert-vqa-coco-pre --match-row 1 --tokenizer vocab.txt --output visualbert-vqa
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from datasets_vl.tasks.answer_vocabulary import read_vocabulary
from modeling_vl.conversion import (
    CODE_BASES,
    ConversionError,
    convert,
    read_checkpoint,
    read_config_file,
)
from modeling_vl.conversion.folder import read_tokenizer, write_folder


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    return parser.parse_args()


def main() -> None:
    """Convert, and print what became of every weight."""
    arguments = parse_arguments()
    try:
        checkpoint = read_checkpoint(arguments.checkpoint)
        values = read_config_file(arguments.config)
        print(f"{len(checkpoint.state)} tensors in {arguments.checkpoint} {checkpoint.place}".rstrip())
        if checkpoint.beside:
            print(f"left aside: {', '.join(checkpoint.beside)}")
        conversion = convert(
            CODE_BASES[arguments.source],
            values,
            checkpoint.state,
            arguments.match_row,
            task=arguments.task,
            entry=arguments.head,
            labels=read_vocabulary(arguments.labels) if arguments.labels else None,
        )
        print(conversion.report)
        config = conversion.config
        tokenizer = read_tokenizer(arguments.tokenizer, config.vocab_size) if arguments.tokenizer else None
        write_folder(conversion, arguments.output, Path(arguments.checkpoint).name, tokenizer)
    except ConversionError as error:
        sys.exit(f"{error.report}\n{type(error).__name__}: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(f"wrote {arguments.output}; state the licence of the weights in its README.md")


if __name__ == "__main__":
    main()
