"""Where corpora come from, one file per source."""
