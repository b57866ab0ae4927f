"""compile_expression and Program: CEL for admission policies, match conditions and CRD rules.

    environment = Environment(variables={"self": schema, "oldSelf": schema}, results=("bool",))
    program = compile_expression("self.replicas <= self.max", environment)   # CompileError
    budget = Budget()                                  # one for all rules of a request
    ok = program.evaluate({"self": obj["spec"], "oldSelf": old}, budget)     # CelError

For a rule of a CustomResourceDefinition give ``self`` the Schema of the place of the rule. Then
a field that the schema does not name is refused ("undefined field 'x'"), property names are
written escaped (``self.__namespace__``, server/cel/escaping.py), and values come in the schema's
types: a Schema of type "time", "date" or "duration" is a timestamp or duration, "bytes" is
decoded, "double" is a double though JSON has 1; "int-or-string" and "any" stay as they are. Leave
``oldSelf`` out of the environment where the rule is none of transitions:
``"oldSelf" in program.variables`` tells whether an expression reads it. CelError is the sentence
for the user; OutOfBudget (a CelError) ends all further rules. Who wants to know what an expression
could cost asks check_expression, and gives what it says to server/cel/estimate.py.

How hostile expressions end: parser and checker bound length and nesting; each step of the
evaluation costs units (server/cel/cost.py) and there is a deadline on top; regular expressions
run in linear time; what grows a text or number says so first. Evaluation is synchronous, in the
event loop, for at most ``cost.SECONDS``; who has several gives others a turn in between
(edgek/aio/slices.py).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from edgek.schema.schema import Schema
from server.cel.calls import Calls
from server.cel.compiler import failed, parse, spelled
from server.cel.cost import Budget
from server.cel.environment import Environment
from server.cel.errors import CelError, CompileError
from server.cel.interpreter import Frame, Interpreter, Step
from server.cel.library import LIBRARIES, OPAQUE
from server.cel.names import bad_literals, free_variables, located, undeclared
from server.cel.overload import Table, table_of
from server.cel.results import cel_type
from server.cel.shapes import Shapes
from server.cel.syntax import Tree

_REMEMBERED = 1024


@dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled expression. ``variables`` are the free variables it reads, ``result`` the CEL
    type it gives as far as that is known, ``schema`` the same for the next expression."""

    text: str
    result: str
    schema: Schema
    variables: frozenset[str]
    step: Step = field(repr=False)

    def evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value, as server/cel/values.py says. Raises CelError."""
        shared = budget or Budget()
        meter = shared.begin()
        try:
            return self.step(Frame(dict(variables), meter))
        except RecursionError:
            raise CelError("expression recursion limit exceeded") from None
        except ArithmeticError as error:  # what Python cannot count to: dates, doubles
            raise CelError(f"range error: {error}") from None
        finally:
            shared.end(meter)


@dataclass(frozen=True, kw_only=True, eq=False)
class Checked:
    """An expression that is right: what is known of it before it can be evaluated."""

    text: str
    tree: Tree
    result: str
    schema: Schema
    variables: frozenset[str]
    shapes: Shapes


@lru_cache(maxsize=_REMEMBERED)
def compile_expression(text: str, environment: Environment) -> Program:
    """Raises CompileError with all that cel-go would say."""
    checked = check_expression(text, environment)
    calls = Calls(table=_table(), variables=environment.variables)
    shapes = checked.shapes
    planner = Interpreter(
        calls=calls, conversions=shapes.conversions, names=shapes.names, typed=shapes.typed
    )
    try:
        step = planner.plan(checked.tree.root)
    except RecursionError:
        raise _too_deep() from None
    return Program(
        text=text,
        result=checked.result,
        schema=checked.schema,
        variables=checked.variables,
        step=step,
    )


def check_expression(text: str, environment: Environment) -> Checked:
    """For those who will not evaluate it, or not yet. Raises CompileError."""
    try:
        return _checked(text, environment)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> CompileError:
    return failed("ERROR: <input>:-1:0: expression recursion limit exceeded")


def _checked(text: str, environment: Environment) -> Checked:
    declared = {name: cel_type(s) for name, s in environment.variables.items()}
    tree, result = parse(text, declared, check=not environment.objects)
    shapes = Shapes()
    schema = shapes.walk(tree.root, environment.variables)
    problems = [*shapes.problems, *bad_literals(tree.root)]
    if environment.objects:
        problems += undeclared(tree.root, environment.variables, _table())
    if problems:
        raise failed("\n".join(located(text, tree, *p) for p in sorted(set(problems))))
    if result == "dyn" and schema.type != "any":
        result = spelled(cel_type(schema))
    if schema.type == "any":
        schema = _schema_of(result)
    _check_result(result, environment.results)
    return Checked(
        text=text,
        tree=tree,
        result=result,
        schema=schema,
        variables=free_variables(tree.root),
        shapes=shapes,
    )


@lru_cache(maxsize=1)
def _table() -> Table:
    return table_of(LIBRARIES, OPAQUE)


def _check_result(result: str, allowed: Collection[str]) -> None:
    if not allowed or result in allowed:
        return
    if len(allowed) == 1:
        raise CompileError(f"must evaluate to {next(iter(allowed))} but got {result}")
    raise CompileError(f"must evaluate to one of [{' '.join(allowed)}] but got {result}")


def _schema_of(result: str) -> Schema:
    """What is known of a scalar result, for whoever reads it as a variable."""
    by_cel = {"string": "string", "int": "int64", "bool": "boolean"}
    return Schema(type=by_cel.get(result, "any"))
