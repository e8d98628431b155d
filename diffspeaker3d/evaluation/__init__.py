"""Evaluation: a model and baselines against the recorded motion of a corpus.

options        what is asked: split, seeds, styles, baselines, degraded sounds
predictors     clip -> animation: the model, the baselines, the recording itself
clip           a prediction laid over the recording     accumulators   numbers of many clips to one table, streamed
degradations   the same sentence in babble, over a telephone, through a codec
run            the loop                                 result         what was found, typed
worst          videos and pictures of what failed
"""

from diffspeaker3d.evaluation.options import EvaluationOptions, named_checkpoints
from diffspeaker3d.evaluation.result import EvaluationResult
from diffspeaker3d.evaluation.run import Evaluation, evaluate
from diffspeaker3d.evaluation.worst import draw_worst, try_drawing

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "EvaluationResult",
    "draw_worst",
    "evaluate",
    "named_checkpoints",
    "try_drawing",
]
