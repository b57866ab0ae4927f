"""What a request is, from the URL to its meaning; nothing here acts on it."""
