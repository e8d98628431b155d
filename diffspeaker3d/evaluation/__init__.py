"""Evaluation: a model and baselines against the recorded motion of a corpus, and a report one can send.

options      what is asked: split, seeds, styles, baselines, changed sounds
predictors   clip -> animation: the model, the baselines, the recording itself
clip         one prediction of one clip -> numbers          tally     numbers of many clips -> one table, streamed
conditions   the same sentence through a crowd, a telephone, a codec
run          the loop          worst   videos and pictures of what failed          report, html   metrics.json, clips.csv, report.html
glossary     what every number means, in one place
"""

from diffspeaker3d.evaluation.options import EvaluationOptions, named_checkpoints
from diffspeaker3d.evaluation.report import changes, clips_csv, table, write_report
from diffspeaker3d.evaluation.run import Evaluation, evaluate
from diffspeaker3d.evaluation.worst import draw_worst, try_drawing

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "changes",
    "clips_csv",
    "draw_worst",
    "evaluate",
    "named_checkpoints",
    "table",
    "try_drawing",
    "write_report",
]
