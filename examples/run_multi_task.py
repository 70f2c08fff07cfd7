r"""Train one ViLBERT for several tasks at once (12-in-1, Lu et al., 2020): a shared trunk, a head for every task.

Try it out first, with a tiny model on built-in scenes:

    accelerate launch examples/run_multi_task.py --config vilbert --tiny --output_dir runs/tiny \
        --tasks '{"vqa": {}, "nlvr2": {}, "refcoco": {}}'

    accelerate launch examples/run_multi_task.py examples/recipes/multi_task_vilbert.yaml \
        --from_pretrained runs/vilbert --regions features/all --output_dir runs/vilbert-tasks \
        --tasks '{"vqa": {"data": "prepared/vqa"}, "nlvr2": {"data": "prepared/nlvr2", "regions": "features/nlvr2"}}'

In every iteration each task updates the model with a batch of its own. A task whose score no longer rises stops and
trains in one of four iterations only; when its score falls it goes again (dynamic stop-and-go). The log says so under
`eval/<task>/is_going`. The predictions for every validation split are written at the end, and
examples/run_evaluation.py measures the model on each task.

Retrieval names a caption file instead of a prepared folder, and examples/run_retrieval.py measures it:

    --tasks '{"retrieval": {"captions": "captions.json", "train_split": "train", "val_split": "val"}, "vqa": ...}'

Several processes, and continuing a stopped run exactly, go as in examples/run_pretraining.py.

All arguments: `python examples/run_multi_task.py --help`.
"""

from __future__ import annotations

from collections.abc import Sequence

from training_vl.training_command import training_command


def run(words: Sequence[str]) -> None:
    """Train as the `words` of a command line say."""
    # Imported one after the other, so that --help and mistakes are answered before torch is there.
    from training_vl.multi_task_arguments import parse_multi_task_arguments
    from training_vl.run_checks import check_multi_task

    arguments = parse_multi_task_arguments(words, description=__doc__)
    check_multi_task(arguments)

    from training_vl.multi_task import train_multi_task

    train_multi_task(arguments)


def main() -> None:
    """Read the command line and train."""
    training_command(run)


if __name__ == "__main__":
    main()
