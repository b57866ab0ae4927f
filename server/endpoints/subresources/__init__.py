"""The parts of an object that have a URL of their own."""
