"""What can go wrong with an expression, in the words of cel-go and of Kubernetes around it."""


class CelError(Exception):
    """The text of the exception is the whole sentence for the user."""


class CompileError(CelError):
    """The expression does not parse, names what is not there, or has the wrong type."""


class OutOfBudget(CelError):
    """It would have cost more than allowed. No operator of the language absorbs this one."""


NO_SUCH_OVERLOAD = "no such overload"


def no_such_key(key: object) -> CelError:
    return CelError(f"no such key: {key}")
