"""A folder of lines to files, each line seeded by its place, with the quality report beside them.

python examples/dialogue.py lines/ out/
"""

import sys
from pathlib import Path

from diffspeaker3d import SpeechAnimator, save
from diffspeaker3d.generation.jobs import plan_jobs, run_jobs
from diffspeaker3d.reports.lines import inspect_result, report_lines

lines, out = sys.argv[1:3]
animator = SpeechAnimator.from_pretrained()
jobs = plan_jobs(lines, out, ["csv"])
seeds = {job.audio: number for number, job in enumerate(jobs)}

inspected = []
for result in run_jobs(jobs, lambda job: animator(job.audio, seed=seeds[job.audio]), save):
    print(result.job.audio.name, result.error or "done")
    inspected.append(inspect_result(result))
report_lines(inspected, jobs, strict=False)
print(f"report: {Path(out) / 'report.html'}")
