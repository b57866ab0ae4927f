"""The shape of API types, from the facts file; checking, defaulting, patching and wire forms.

facts.py -> schema.py -> check.py (compiled.py, scalars.py)   bodies against their schema
                      -> validate.py, defaults.py             required, enums, defaults
                      -> protobuf.py, strategic.py            wire form, strategic patches
decode.py, decode_yaml.py                                     bytes to values
"""

from edgek.schema.schema import Schema, builtin_types, schema_of

__all__ = ["Schema", "builtin_types", "schema_of"]
