"""Programs for working on and trying edgek; not installed."""
