"""Should it be: the admission plugins. The order they run in is in server/parts.py.

A plugin sees an operation that authentication and authorization have let through and may change
the object or refuse it. Its reads go through a Reader; it never writes other objects.
"""
