"""One verb per file: what a request means in terms of the registry, and how the answer looks."""
