"""Talking to an API server, over HTTP or inside its process, with the same calls."""
