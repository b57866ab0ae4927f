"""Who asks: one authenticator per credential. The order they are asked in is in server/parts.py.

The first that knows the request's credential answers; ``Anonymous`` comes last and refuses a
credential that none of them knew.
"""
