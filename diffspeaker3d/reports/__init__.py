"""Quality control of batches: numbers per line, thresholds, and a report for people and for CI.

line = inspect(animator("line.wav"), "line.wav")
line.failures                                       # () when it may go into the game
write_report([Entry(line, ("line.glb",))], folder)  # folder/report.html and report.json
"""

from diffspeaker3d.metrics.line import LineReport, Thresholds, inspect
from diffspeaker3d.reports.quality import Entry, write_report

__all__ = ["Entry", "LineReport", "Thresholds", "inspect", "write_report"]
