"""CEL, the language of admission policies, match conditions and CRD validation rules.

    from server.cel import Budget, CelError, Environment, compile_expression

How to use it stands in server/cel/program.py. Parsing and type checking are those of the official
library (server/cel/compiler.py); evaluation is ours, because it must count costs as Kubernetes
does, speak of errors as cel-go does, and work on wire-shaped dicts without copying them.
"""

from server.cel.compiler import Allowance
from server.cel.cost import Budget
from server.cel.environment import DYN, Environment, of_type
from server.cel.errors import CelError, CompileError, OutOfBudget
from server.cel.program import Program, check_expression, compile_expression

__all__ = [
    "DYN",
    "Allowance",
    "Budget",
    "CelError",
    "CompileError",
    "Environment",
    "OutOfBudget",
    "Program",
    "check_expression",
    "compile_expression",
    "of_type",
]
