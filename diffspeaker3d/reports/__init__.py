"""Reports for people and for machines, from jinja2 templates.

quality      numbers per line of a batch, worst first       lines   the lines of `animate`, inspected
evaluation   metrics.json, clips.csv, report.html, and the table on screen
"""
