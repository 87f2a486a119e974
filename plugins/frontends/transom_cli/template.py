"""What `--format` takes: a template in Go's language, parsed before the daemon is asked, carried out for each thing.

The rules are those of Go's text/template (exec.go). Two kinds of data are known: a thing of the API as it looks to a Go
program, where a field that is missing may mean something, and bare JSON (`strict`), where it is a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from transom_cli.template_functions import FUNCTIONS, CallFailed, Function
from transom_cli.template_lexer import quoted
from transom_cli.template_nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Field,
    Identifier,
    Jump,
    Node,
    Pipe,
    TemplateCall,
    Text,
    Variable,
)
from transom_cli.template_syntax import TemplateError, parse_templates, position
from transom_cli.template_values import (
    EMPTY,
    NIL,
    NO_VALUE,
    NULL_MAP,
    RAW_NIL,
    FreeForm,
    Missing,
    NullMap,
    encode_json,
    is_true,
    raw_json,
    show,
    type_name,
)

__all__ = ["Template", "TemplateError", "encode_json", "parse", "raw_json"]

#: Objects whose keys people choose, and what `index` gives for a key that is not there.
_FREE_FORM: Mapping[str, Any] = {
    "Annotations": "",
    "Attributes": "",
    "Data": "",
    "ExposedPorts": EMPTY,
    "Labels": "",
    "Networks": NIL,
    "Options": "",
    "PortBindings": None,
    "Ports": None,
    "StorageOpt": "",
    "Sysctls": "",
    "Tmpfs": "",
    "Volumes": EMPTY,
}
#: Fields that daemons leave out where there is nothing to say, with what they mean then.
_LEFT_OUT: Mapping[str, Any] = {
    "Annotations": NULL_MAP,
    "ExposedPorts": NULL_MAP,
    "Health": NIL,
    "Healthcheck": NIL,
    "Init": NIL,
    "MacAddress": "",
    "Mounts": None,
    "Shell": None,
    "SizeRootFs": NIL,
    "SizeRw": NIL,
    "StopSignal": "",
    "StopTimeout": NIL,
    "StorageOpt": NULL_MAP,
    "Sysctls": NULL_MAP,
    "Tmpfs": NULL_MAP,
}
#: How deep templates may call each other in Go.
_DEEPEST = 100_000
#: The functions that leave headings as they are.
_SHAPING = ("join", "json", "lower", "split", "title", "truncate", "upper")
_ABSENT: Any = object()


@dataclass(frozen=True)
class Template:
    """A parsed template, with those that it defines."""

    source: str
    nodes: Mapping[str, tuple[Node, ...]]
    name: str = ""

    def render(self, data: Any, *, escape_html: bool = False, strict: bool = False, heading: bool = False) -> str:
        """Return the text for one thing. Raises `TemplateError` for what cannot be done with it.

        `escape_html` makes `json` write <, > and & as escapes, as Go's encoder does unless told otherwise; `strict` is
        for bare JSON (`raw_json`), and `heading` for the headings of a table.
        """
        functions = dict(FUNCTIONS)
        if escape_html:
            functions["json"] = Function(partial(encode_json, escape_html=True), ("any",))
        if heading:
            functions.update({name: Function(_first, ("any",), "any") for name in _SHAPING})
        execution = _Execution(self, functions, strict)
        try:
            return execution.template(self.name, data)
        except RecursionError:
            execution.fail(f"exceeded maximum template depth ({_DEEPEST})")

    def names(self) -> set[str]:
        """Return the names of the thing's own fields that the template uses; empty is the whole thing."""
        return {name for nodes in self.nodes.values() for name in _names(nodes)}


def parse(source: str, name: str = "") -> Template:
    """Return the template. Raises `TemplateError`, with exit status 64, for one that is not right."""
    return Template(source, parse_templates(source, frozenset(FUNCTIONS), name), name)


def _first(value: Any, *_others: Any) -> Any:
    return value


def _names(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        match node:
            case Branch():
                yield from _names((node.pipe, *node.body, *node.otherwise))
            case Action() | TemplateCall(pipe=Pipe()):
                yield from _names((node.pipe,) if node.pipe else ())
            case Pipe():
                yield from _names([operand for command in node.commands for operand in command.operands])
            case Chain():
                yield from _names((node.of,))
            case Field(names=names) | Variable(name="$", names=names):
                yield names[0] if names else ""
            case Dot():
                yield ""


class _Leave(Exception):
    """`break` or `continue` on its way to the loop around it."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


class _Execution:
    """One thing's way through a template: the text so far, and the variables by name, the innermost last."""

    def __init__(self, template: Template, functions: Mapping[str, Function], strict: bool) -> None:
        self._template = template
        self._functions = functions
        self._strict = strict
        self._name = template.name
        self._node: Node | None = None
        self._variables: list[tuple[str, Any]] = []
        self._shown: list[str] = []

    def template(self, name: str, data: Any) -> str:
        """Return the text of the template and of those that it calls."""
        self._call_template(name, data)
        return "".join(self._shown)

    def fail(self, problem: str) -> NoReturn:
        """Raise the error for a problem at the present node."""
        node = self._node
        if node is None:
            raise TemplateError(f"template: {self._template.name}: {problem}")
        line, column = position(self._template.source, node.offset)
        raise TemplateError(
            f"template: {self._template.name}:{line}:{column}: executing {quoted(self._name)} at <{node}>: {problem}"
        )

    # Nodes

    def _call_template(self, name: str, data: Any) -> None:
        outer = self._name, self._variables
        self._name, self._variables = name, [("$", data)]
        self._list(self._template.nodes[name], data)
        self._name, self._variables = outer

    def _list(self, nodes: Sequence[Node], dot: Any) -> None:
        for node in nodes:
            match node:
                case Text():
                    self._shown.append(node.text)
                case Action():
                    value = self._pipe(node.pipe, dot)
                    if not node.pipe.variables:
                        self._shown.append(show(value))
                case Branch():
                    known = len(self._variables)
                    if node.keyword == "range":
                        self._range(node, dot)
                    else:
                        self._choose(node, dot)
                    del self._variables[known:]
                case Jump():
                    raise _Leave(node.keyword)
                case TemplateCall():
                    self._node = node
                    if node.name not in self._template.nodes:
                        self.fail(f"template {quoted(node.name)} not defined")
                    self._call_template(node.name, self._pipe(node.pipe, dot) if node.pipe else NO_VALUE)

    def _choose(self, branch: Branch, dot: Any) -> None:
        value = self._pipe(branch.pipe, dot)
        if not is_true(value):
            self._list(branch.otherwise, dot)
        else:
            self._list(branch.body, value if branch.keyword == "with" else dot)

    def _range(self, branch: Branch, dot: Any) -> None:
        items = self._items(self._pipe(branch.pipe, dot, keep=False), len(branch.pipe.variables))
        if not items:
            self._list(branch.otherwise, dot)
        known = len(self._variables)
        for key, item in items:
            targets = branch.pipe.variables
            # One variable gets the value, two get the key as well.
            for variable, value in zip(targets, (key, item)[-len(targets) :] if targets else (), strict=True):
                self._set(variable.name, value, branch.pipe.assigns)
            try:
                self._list(branch.body, item)
            except _Leave as leave:
                if leave.keyword == "break":
                    break
            finally:
                del self._variables[known:]

    def _items(self, value: Any, targets: int) -> list[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, list):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            if targets > 1:
                self.fail(f"can't use {value} to iterate over more than one variable")
            return [(number, number) for number in range(value)]
        if value is not None and not isinstance(value, Missing):
            self.fail(f"range can't iterate over {show(value)}")
        return []

    def _set(self, name: str, value: Any, assigns: bool) -> None:
        if not assigns:
            self._variables.append((name, value))
            return
        for index in reversed(range(len(self._variables))):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        self.fail(f"undefined variable: {name}")

    # Values

    def _pipe(self, pipe: Pipe, dot: Any, keep: bool = True) -> Any:
        """Return what a pipeline gives, and set its variables unless they are a loop's."""
        self._node = pipe
        value = _ABSENT
        for command in pipe.commands:
            value = self._command(command, dot, value)
        if keep:
            for variable in pipe.variables:
                self._set(variable.name, value, pipe.assigns)
        return value

    def _command(self, command: Command, dot: Any, final: Any) -> Any:
        first, *operands = command.operands
        match first:
            case Field():
                return self._field(first, dot, dot, operands, final)
            case Chain():
                return self._chain(first, dot, operands, final)
            case Identifier():
                return self._function(first, command, dot, operands, final)
            case Variable():
                return self._variable(first, dot, operands, final)
            case Pipe():
                self._refuse_arguments(first, operands, final)
                return self._pipe(first, dot)
        self._node = first
        self._refuse_arguments(first, operands, final)
        if isinstance(first, Dot):
            return dot
        assert isinstance(first, Constant)
        if first.value is None:
            self.fail("nil is not a command")
        return first.value

    def _refuse_arguments(self, node: Node, operands: Sequence[Node], final: Any) -> None:
        if operands or final is not _ABSENT:
            self.fail(f"can't give argument to non-function {node}")

    def _chain(self, chain: Chain, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        self._node = chain
        value = self._argument(chain.of, "any", dot)
        return self._names(chain.names, value, dot, operands, final)

    def _variable(self, variable: Variable, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        self._node = variable
        found = [value for name, value in self._variables if name == variable.name]
        if not found:
            self.fail(f"undefined variable: {variable.name}")
        value = found[-1]
        if not variable.names:
            self._refuse_arguments(variable, operands, final)
            return value
        return self._names(variable.names, value, dot, operands, final)

    def _field(self, field: Field, value: Any, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        self._node = field
        return self._names(field.names, value, dot, operands, final)

    def _names(self, names: Sequence[str], value: Any, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        """Return what the last of the names is; it gets the arguments."""
        *outer, last = names
        for name in outer:
            value = self._member(name, value, dot, (), _ABSENT)
            if self._strict and not isinstance(value, (Mapping, Missing)):
                following = names[outer.index(name) + 1]
                self.fail(f"can't evaluate field {following} in type interface {{}}")
        return self._member(last, value, dot, operands, final)

    def _member(self, name: str, value: Any, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        """Return one field of a value, or what its method gives."""
        if value is RAW_NIL:
            self.fail(f"nil pointer evaluating interface {{}}.{name}")
        if value is NIL:
            self.fail(f"nil pointer evaluating nil.{name}")
        if isinstance(value, Missing):
            if self._strict:
                self.fail(f"nil data; no entry for key {quoted(name)}")
            return value
        if not isinstance(value, Mapping):
            self.fail(f"can't evaluate field {name} in type {type_name(value)}")
        found = value.get(name, _ABSENT)
        if callable(found):
            return found(*self._arguments(name, Function(found, ("string",)), dot, operands, final))
        if operands or final is not _ABSENT:
            self.fail(f"{name} is not a method but has arguments")
        if self._strict:
            if found is _ABSENT:
                self.fail(f"map has no entry for key {quoted(name)}")
            return found
        return self._typed(name, found, value)

    def _typed(self, name: str, found: Any, of: Mapping[str, Any]) -> Any:
        """Return what a field means to a program that knows the API's types."""
        if isinstance(of, FreeForm):
            return NO_VALUE if found is _ABSENT else found
        if found is _ABSENT:
            if name not in _LEFT_OUT:
                self.fail(f"map has no entry for key {quoted(name)}")
            return _LEFT_OUT[name]
        if name in _FREE_FORM and (found is None or isinstance(found, dict)):
            zero = _FREE_FORM[name]
            if found is None:
                return NullMap({}, zero)
            return FreeForm({key: zero if item == {} else item for key, item in found.items()}, zero)
        return found

    # Functions

    def _function(self, name: Identifier, node: Node, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        self._node = name
        function = self._functions[name.name]
        if name.name in ("and", "or"):
            return self._first_that(name.name == "or", function, dot, operands, final)
        arguments = self._arguments(name.name, function, dot, operands, final)
        if name.name == "call":
            self._node = node
            shown = operands[0] if operands else show(final)
            nothing = isinstance(arguments[0], Missing)
            problem = "call of nil" if nothing else f"non-function {shown} of type {type_name(arguments[0])}"
            self.fail(f"error calling call: {problem}")
        try:
            return function.call(*arguments)
        except CallFailed as error:
            self._node = node
            self.fail(f"error calling {name.name}: {error}")

    def _first_that(self, truth: bool, function: Function, dot: Any, operands: Sequence[Node], final: Any) -> Any:
        """Return the first operand that is true, or is not; or the last. Those behind it are not looked at."""
        self._check_count("or" if truth else "and", function, operands, final)
        value: Any = NO_VALUE
        for operand in operands:
            value = self._argument(operand, "any", dot)
            if is_true(value) == truth:
                return value
        return value if final is _ABSENT else final

    def _arguments(self, name: str, function: Function, dot: Any, operands: Sequence[Node], final: Any) -> list[Any]:
        self._check_count(name, function, operands, final)
        count = len(operands) + (final is not _ABSENT)
        kinds = [*function.takes, *[function.more] * (count - len(function.takes))]
        found = [self._argument(operand, kind, dot) for operand, kind in zip(operands, kinds, strict=False)]
        if final is not _ABSENT:
            found.append(self._checked(final, kinds[-1]))
        return found

    def _check_count(self, name: str, function: Function, operands: Sequence[Node], final: Any) -> None:
        count, wanted = len(operands) + (final is not _ABSENT), len(function.takes)
        if function.more:
            if count < wanted:
                self.fail(f"wrong number of args for {name}: want at least {wanted} got {len(operands)}")
        elif count != wanted:
            self.fail(f"wrong number of args for {name}: want {wanted} got {count}")

    def _argument(self, node: Node, kind: str, dot: Any) -> Any:
        """Return an operand of the Go type `kind`."""
        self._node = node
        match node:
            case Dot():
                return self._checked(dot, kind)
            case Field():
                return self._checked(self._field(node, dot, dot, (), _ABSENT), kind)
            case Variable():
                return self._checked(self._variable(node, dot, (), _ABSENT), kind)
            case Pipe():
                return self._checked(self._pipe(node, dot), kind)
            case Identifier():
                return self._checked(self._function(node, node, dot, (), _ABSENT), kind)
            case Chain():
                return self._checked(self._chain(node, dot, (), _ABSENT), kind)
        assert isinstance(node, Constant)
        return self._constant(node, kind)

    def _constant(self, node: Constant, kind: str) -> Any:
        value = node.value
        if value is None:
            if kind in ("string", "int"):
                self.fail(f"cannot assign nil to {kind}")
            return RAW_NIL if kind == "any" else None
        if kind == "[]string":
            self.fail(f"can't handle {node} for arg of type {kind}")
        is_right = {"string": isinstance(value, str), "int": type(value) is int}.get(kind, True)
        if not is_right:
            self.fail(f"expected {'integer' if kind == 'int' else kind}; found {node}")
        return value

    def _checked(self, value: Any, kind: str) -> Any:
        """Return a value that is of a Go type. Raises `TemplateError` for another one."""
        if kind == "any":
            return value
        if isinstance(value, Missing):
            self.fail(f"invalid value; expected {kind}")
        if kind == "[]string":
            is_right = value is None or (isinstance(value, list) and type_name(value) == "[]string")
        else:
            is_right = type(value) is {"string": str, "int": int}[kind]
        if not is_right:
            self.fail(f"wrong type for value; expected {kind}; got {type_name(value)}")
        return value
