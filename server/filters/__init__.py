"""One function each, in the order of FILTERS in server/app.py."""
