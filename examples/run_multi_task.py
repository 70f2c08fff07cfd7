"""Train one ViLBERT for several tasks at once (12-in-1, Lu et al., 2020): a shared trunk, a head for every task.

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

Several processes, and continuing a stopped run exactly, go as in examples/run_pretraining.py. Retrieval is trained by
itself, see examples/run_finetuning.py.

All arguments: `python examples/run_multi_task.py --help`.
"""

from __future__ import annotations

import logging
import sys

from transformers.utils.logging import disable_progress_bar

from training_vl.multi_task import train_multi_task
from training_vl.multi_task_arguments import parse_multi_task_arguments


def main() -> None:
    """Read the arguments and train; errors that the arguments caused are told in one line."""
    disable_progress_bar()  # saving a checkpoint would draw one into that of the training
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        train_multi_task(parse_multi_task_arguments(sys.argv[1:]))
    except (ImportError, OSError, RuntimeError, ValueError, FloatingPointError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; start again with --resume_from_checkpoint latest to continue after the last checkpoint")


if __name__ == "__main__":
    main()
