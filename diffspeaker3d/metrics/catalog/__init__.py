"""The metrics of an evaluation, one file per theme; `metrics.registry` finds them."""
