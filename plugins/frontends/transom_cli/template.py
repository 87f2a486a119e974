"""What `--format` takes: a template in Go's language, parsed before the daemon is asked, and rendered per thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from transom_cli.template_functions import (
    FUNCTIONS,
    NIL,
    NO_VALUE,
    NULL_MAP,
    CallFailed,
    encode_json,
    is_true,
    show,
)
from transom_cli.template_syntax import (
    Action,
    Branch,
    Call,
    Field,
    Group,
    Part,
    Pipeline,
    TemplateError,
    parse_parts,
    position,
)

__all__ = ["Template", "TemplateError", "encode_json", "parse"]

#: Objects whose keys people choose: a key that is not there is no mistake.
_FREE_FORM = {
    "Annotations", "Attributes", "Data", "ExposedPorts", "Labels", "Networks", "Options", "PortBindings",
    "Ports", "StorageOpt", "Sysctls", "Tmpfs", "Volumes",
}  # fmt: skip
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


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    source: str
    parts: tuple[Part, ...]

    def render(self, data: Any, escape_html: bool = False) -> str:
        """Return the text for one thing. Raises `TemplateError` for a field that it does not have.

        `escape_html` makes `json` write <, > and & as escapes, as Go's encoder does unless told otherwise.
        """
        return _Rendering(self.source, data, escape_html).text(self.parts, data)

    def names(self) -> set[str]:
        """Return the names of the thing's own fields that the template uses; empty is the whole thing."""
        return set(_names(self.parts))


def parse(source: str) -> Template:
    """Return the template. Raises `TemplateError`, with exit status 64, for one that is not right."""
    return Template(source, parse_parts(source, frozenset(FUNCTIONS)))


def _names(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Branch):
            yield from _names(part.body + part.otherwise)
        if not isinstance(part, str):
            yield from _pipeline_names(part.pipeline)


def _pipeline_names(pipeline: Pipeline) -> Iterator[str]:
    for operand in (operand for call in pipeline.calls for operand in call.operands):
        if isinstance(operand, Field):
            if isinstance(operand.of, Group):
                yield from _pipeline_names(operand.of.pipeline)
            else:
                yield operand.names[0] if operand.names else ""


class _Rendering:
    """One thing's way through a template: its variables, by name, the innermost last."""

    def __init__(self, source: str, data: Any, escape_html: bool) -> None:
        self._source = source
        self._functions: dict[str, Callable[..., Any]] = {
            **FUNCTIONS,
            "json": partial(encode_json, escape_html=escape_html),
        }
        self._variables: list[tuple[str, Any]] = [("$", data)]

    def text(self, parts: tuple[Part, ...], dot: Any) -> str:
        """Return what parts show for a dot."""
        known = len(self._variables)
        shown = "".join(part if isinstance(part, str) else self._part(part, dot) for part in parts)
        del self._variables[known:]
        return shown

    def _part(self, part: Action | Branch, dot: Any) -> str:
        pipeline = part.pipeline
        if isinstance(part, Action):
            value = self._value(pipeline, dot)
            for name in pipeline.variables:
                self._set(name, value, pipeline.declares)
            return "" if pipeline.variables else show(value)
        known = len(self._variables)
        shown = self._range(part, dot) if part.keyword == "range" else self._choose(part, dot)
        del self._variables[known:]
        return shown

    def _choose(self, branch: Branch, dot: Any) -> str:
        value = self._value(branch.pipeline, dot)
        for name in branch.pipeline.variables:
            self._set(name, value, branch.pipeline.declares)
        if not is_true(value):
            return self.text(branch.otherwise, dot)
        return self.text(branch.body, value if branch.keyword == "with" else dot)

    def _range(self, branch: Branch, dot: Any) -> str:
        pipeline = branch.pipeline
        items = self._items(pipeline, self._value(pipeline, dot))
        if not items:
            return self.text(branch.otherwise, dot)
        shown = []
        for item in items:
            known = len(self._variables)
            # One variable gets the value, two get the key as well.
            for name, value in zip(pipeline.variables, item[-len(pipeline.variables) :], strict=False):
                self._set(name, value, pipeline.declares)
            shown.append(self.text(branch.body, item[1]))
            del self._variables[known:]
        return "".join(shown)

    def _items(self, pipeline: Pipeline, value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, Sequence) and not isinstance(value, str):
            return list(enumerate(value))
        if value in (None, NIL, NO_VALUE):
            return []
        call = pipeline.calls[-1]
        raise self._failed(call.start, self._source[call.start : call.end], f"range can't iterate over {show(value)}")

    def _set(self, name: str, value: Any, declares: bool) -> None:
        if not declares:
            index = next(i for i in reversed(range(len(self._variables))) if self._variables[i][0] == name)
            self._variables[index] = (name, value)
        else:
            self._variables.append((name, value))

    def _value(self, pipeline: Pipeline, dot: Any) -> Any:
        value: Any = None
        for index, call in enumerate(pipeline.calls):
            operands = [self._operand(operand, dot) for operand in call.operands]
            value = self._call(call, [*operands, value] if index else operands)
        return value

    def _call(self, call: Call, operands: list[Any]) -> Any:
        text = self._source[call.start : call.end].rstrip()
        if not call.function:
            if callable(operands[0]):
                return operands[0](*operands[1:])
            if len(operands) > 1:
                raise self._failed(call.start, text, "it has arguments but cannot be invoked as function")
            return operands[0]
        try:
            return self._functions[call.function](*operands)
        except CallFailed as error:
            raise self._failed(call.start, text, f"error calling {call.function}: {error}") from error
        except (TypeError, IndexError):
            raise self._failed(call.start, text, f"wrong number or kind of args for {call.function}") from None

    def _operand(self, operand: Any, dot: Any) -> Any:
        if not isinstance(operand, Field):
            return operand
        if operand.of is None:
            return self._resolve(operand, dot)
        if isinstance(operand.of, Group):
            return self._resolve(operand, self._value(operand.of.pipeline, dot))
        name = operand.of
        return self._resolve(operand, next(value for known, value in reversed(self._variables) if known == name))

    def _resolve(self, field: Field, value: Any) -> Any:
        parent = ""
        for name in field.names:
            if not isinstance(value, Mapping):
                raise self._failed(
                    field.offset, _written(field), f"can't evaluate field {name} in type {_type_name(value)}"
                )
            if name in value:
                found = value[name]
                value, parent = NULL_MAP if found is None and name in _FREE_FORM else found, name
            elif parent in _FREE_FORM:
                return NO_VALUE
            elif name in _LEFT_OUT:
                value, parent = _LEFT_OUT[name], name
            else:
                raise self._failed(field.offset, _written(field), f'map has no entry for key "{name}"')
        return value

    def _failed(self, offset: int, text: str, problem: str) -> TemplateError:
        line, column = position(self._source, offset)
        return TemplateError(f'template: :{line}:{column}: executing "" at <{text}>: {problem}')


def _written(field: Field) -> str:
    of = field.of if isinstance(field.of, str) else "" if field.of is None else "(...)"
    return of + "".join(f".{name}" for name in field.names)


def _type_name(value: Any) -> str:
    if value in (None, NO_VALUE, NIL):
        return "nil"
    return {str: "string", bool: "bool", int: "int", float: "float64"}.get(type(value), "[]interface {}")
