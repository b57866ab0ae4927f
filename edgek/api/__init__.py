"""What an API object is: pure functions over wire-shaped dicts, standard library only."""
