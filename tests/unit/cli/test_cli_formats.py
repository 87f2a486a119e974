"""Templates, tables, JSON, sizes and times, as Docker's client writes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transom_cli.inspection import indent
from transom_cli.references import familiar, parse_reference
from transom_cli.tables import Listing, parse_format, print_table
from transom_cli.template import TemplateError, parse
from transom_cli.times import nanosecond_time, timestamp
from transom_cli.units import binary_size, decimal_size, human_duration

DATA: dict[str, Any] = {
    "Name": "a<b",
    "State": {"Running": True, "Code": 3, "Error": None, "List": ["x", "y"]},
    "Labels": {"k": "v"},
    "Label": lambda name: f"label of {name}",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "a<b"),
        ("{{ .State.Code }}|{{.State.Running}}", "3|true"),
        ("{{json .State.List}}", '["x","y"]'),
        ("{{.State.List | json}}", '["x","y"]'),
        ("{{.State.List}}", "[x y]"),
        ("{{.Labels}}", "map[k:v]"),
        ("{{.Labels.nope}}", "<no value>"),
        ("{{.State.Error}}", "[]"),
        ('{{.Label "a b"}}', "label of a b"),
        ("{{.Label `raw`}}", "label of raw"),
        ("x {{- .Name -}} y", "xa<by"),
        ("{{/* comment */}}x", "x"),
        ('{{"}}"}}', "}}"),
        ("{{println .Name}}", "a<b\n"),
        ("{{json .Name}}", '"a<b"'),
        ("{{json 5}}", "5"),
        ("{{len .State.List}} {{len .Name}} {{len .Labels}}", "2 3 1"),
        ("{{range .State.List}}<{{.}}>{{end}}", "<x><y>"),
        ("{{range $i, $x := .State.List}}{{$i}}={{$x}} {{end}}", "0=x 1=y "),
        ("{{range $key, $value := .Labels}}{{$key}}:{{$value}}{{end}}", "k:v"),
        ("{{range .State.Error}}x{{else}}none{{end}}", "none"),
        ("{{range .State.List}}{{$.Name}}{{end}}", "a<ba<b"),
        ("{{if .State.Running}}yes{{else}}no{{end}}", "yes"),
        ("{{if .State.Error}}a{{else if eq .State.Code 3}}b{{else}}c{{end}}d", "bd"),
        ("{{if and .State.Running (not .State.Error)}}both{{end}}", "both"),
        ("{{with .State}}{{.Code}}{{end}}{{with .State.Error}}x{{else}}{{.Name}}{{end}}", "3a<b"),
        ("{{with $s := .State}}{{$s.Code}} {{$.Name}}{{end}}", "3 a<b"),
        ("{{$x := .State.Code}}{{if true}}{{$x = 4}}{{end}}{{$x}}", "4"),
        ("{{(index .State.List 1)}} {{index .Labels `k`}} {{(.State).Code}}", "y v 3"),
        ('{{join .State.List ","}} {{upper .Name}} {{title .Name}} {{lower "A"}}', "x,y A<B A<B a"),
        ('{{printf "%s|%5d|%-3v|%q|%%" .Name .State.Code true "b"}}', 'a<b|    3|true|"b"|%'),
        ('{{range split "a b" " "}}{{.}};{{end}}', "a;b;"),
        ("{{gt .State.Code 2}} {{le 1 1}} {{ne 1 2}} {{eq 1 2 1}}", "true true true true"),
        (
            '{{printf "%5.1f|%-4d|%05d|%q" "abc" .State.List 2.5 -1}}',
            "%!f(string=    a)|[%!d(string=x   ) %!d(string=y   )]|%!d(float64=002.5)|'\ufffd'",
        ),
        ('{{define "t"}}<{{.}}>{{end}}{{template "t" .State.Code}}{{block "u" 1}}{{.}}{{end}}', "<3>1"),
        ("{{range 5}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}", "02"),
        ("{{with .State.Error}}a{{else with .Name}}{{.}}{{end}}", "a<b"),
        ("{{slice .Name 1}} {{truncate .Name 1}} {{pad `x` 1 1}}|", "<b a  x |"),
        ("{{json .State.Health}} {{.State.StopSignal}}|{{json .State.Tmpfs}}", "null |null"),
        ("{{- range .State.List -}} {{.}} {{- end -}} ", "xy"),
    ],
)
def test_a_template_shows(template: str, text: str) -> None:
    assert parse(template).render(DATA) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{", "template parsing error: template: :1: unclosed action"),
        ("a\n{{.X", "template parsing error: template: :2: unclosed action"),
        ("{{end}}", "template parsing error: template: :1: unexpected {{end}}"),
        ("{{bogus .X}}", 'template parsing error: template: :1: function "bogus" not defined'),
        ("{{}}", "template parsing error: template: :1: missing value for command"),
        ("{{.X %}}", 'template parsing error: template: :1: unexpected "%" in operand'),
        ("{{$x}}", 'template parsing error: template: :1: undefined variable "$x"'),
        ("{{if .X}}a", "template parsing error: template: :1: unexpected EOF"),
        ("{{if 1}}{{else}}{{else}}{{end}}", "template parsing error: template: :1: expected end; found {{else}}"),
        ("{{range .X}}{{$y := 1}}{{end}}{{$y}}", 'template parsing error: template: :1: undefined variable "$y"'),
        ("{{(len .X}}", "template parsing error: template: :1: unclosed left paren"),
        ("{{if}}{{end}}", "template parsing error: template: :1: missing value for if"),
    ],
)
def test_a_template_that_is_not_right_is_refused_with_its_line(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as failure:
        parse(template)
    assert (failure.value.message, failure.value.exit_status) == (message, 64)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{index .State.List 5}}", "<index .State.List 5>: error calling index: index out of range: 5"),
        ("{{range .Name}}{{end}}", "<.Name>: range can't iterate over a<b"),
        ("{{len 5}}", "<len 5>: error calling len: len of type int"),
        ("{{.Name 1}}", "<.Name>: Name is not a method but has arguments"),
        ("{{lt 1 `a`}}", "<lt 1 `a`>: error calling lt: incompatible types for comparison"),
        ("{{$x := $x}}", "<$x>: undefined variable: $x"),
        ('{{template "nope"}}', '<{{template "nope"}}>: template "nope" not defined'),
        ("{{upper}}", "<upper>: wrong number of args for upper: want 1 got 0"),
    ],
)
def test_what_cannot_be_done_with_a_value_is_said(template: str, problem: str) -> None:
    with pytest.raises(TemplateError) as failure:
        parse(template).render(DATA)
    assert problem in failure.value.message


@pytest.mark.parametrize(
    ("template", "position", "node"),
    [
        ("{{.Bogus}}", "1:2", ".Bogus"),
        ("{{.State.Bogus}}", "1:8", ".State.Bogus"),
        ("é\né{{ .Bogus}}", "2:5", ".Bogus"),
        ("{{.A.B.C}}", "1:4", ".A.B.C"),
    ],
)
def test_a_field_that_is_not_there_is_named_with_its_position(template: str, position: str, node: str) -> None:
    with pytest.raises(TemplateError) as failure:
        parse(template).render({**DATA, "A": {"B": {}}})
    assert f'template: :{position}: executing "" at <{node}>: ' in failure.value.message


_PIECES = (
    "{{", "}}", "{{-", "-}}", " ", "\n", ".", ".State", ".Labels.k", "$", "$x", ":=", "=", "|", ",", "(", ")", "1",
    "-2.5", "'a'", '"s"', "`r`", "true", "nil", "if", "else", "end", "range", "with", "define", "block", "template",
    "break", "continue", "len", "index", "printf", "eq", "json", "/*", "*/", "%", "é", "\\",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=20).map("".join) | st.text())
@example("{{(" * 2000)
@example("{{if 1}}" * 2000)
@example('{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}')
def test_whatever_is_given_as_a_template_is_shown_or_refused_with_one_sentence(text: str) -> None:
    for strict in (False, True):
        try:
            parse(text).render(DATA, strict=strict)
        except TemplateError as error:
            assert error.message.removeprefix("template parsing error: ").startswith("template: ")


@given(st.text())
def test_any_text_is_a_template_or_is_refused_with_one_sentence(text: str) -> None:
    try:
        parse(text)
    except TemplateError as error:
        assert error.message.startswith("template parsing error: template: :")


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_braces_is_its_own_result(text: str) -> None:
    assert parse(text).render({}) == text


def test_columns_stand_under_each_other_with_three_spaces_between(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["A", "LONG HEADING", "LAST"], ["longer cell", "x", "a very long last cell"], ["é", "", ""]])
    assert capsys.readouterr().out == (
        "A             LONG HEADING   LAST\n"
        "longer cell   x              a very long last cell\n"
        "é                            \n"
    )


LISTING = Listing({"Name": "NAME", "ID": "IDENTITY"}, ("Name", "ID"), "name: {{.Name}}")
ROWS = [{"Name": "n", "ID": "1"}, {"Name": "<m>", "ID": "2"}]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "NAME      IDENTITY\nn         1\n<m>       2\n"),
        ("table", "NAME      IDENTITY\nn         1\n<m>       2\n"),
        ("table {{lower .ID}}\\t{{.Name}}", "IDENTITY   NAME\n1          n\n2          <m>\n"),
        ("{{.ID}}\\t{{.Name}}", "1\tn\n2\t<m>\n"),
        ("raw", "name: n\n\nname: <m>\n\n"),
        ("json", '{"Name":"n","ID":"1"}\n{"Name":"\\u003cm\\u003e","ID":"2"}\n'),
    ],
)
def test_a_list_is_shown_as_its_format_says(capsys: pytest.CaptureFixture[str], text: str, shown: str) -> None:
    parse_format(text).print(LISTING, ROWS)
    assert capsys.readouterr().out == shown


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_json)
def test_indented_json_means_the_same_and_is_laid_out_as_json_is(value: Any) -> None:
    text = json.dumps(value)
    assert indent(text.encode()) == json.dumps(value, indent=4)


def test_indented_json_keeps_escapes_and_numbers_as_they_came() -> None:
    assert indent(b'{"a":"\\u003c","b":1.50}') == '{\n    "a": "\\u003c",\n    "b": 1.50\n}'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_a_duration_is_told_in_its_largest_sensible_unit(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "digits", "text"),
    [(0, 3, "0B"), (999, 3, "999B"), (1000, 3, "1kB"), (1984230, 3, "1.98MB"), (1984230, 4, "1.984MB")],
)
def test_a_size_is_told_in_decimal_units(size: int, digits: int, text: str) -> None:
    assert decimal_size(size, digits) == text


def test_memory_is_told_in_binary_units() -> None:
    assert binary_size(25276973056) == "23.54GiB"


@pytest.fixture
def timezone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Choose a time zone for as long as the test lasts."""
    with monkeypatch.context() as patch:

        def choose(name: str) -> None:
            patch.setenv("TZ", name)
            time.tzset()

        yield choose
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "9400.000000000"),
        ("1h30m", "4600.000000000"),
        ("0s", "10000.000000000"),
        ("-5s", "10005.000000000"),
        ("1700000000", "1700000000"),
        ("1700000000.5", "1700000000.5"),
        ("2023-11-14T22:13:20Z", "1700000000.000000000"),
        ("2023-11-14T22:13:20.123456789Z", "1700000000.123456789"),
        ("2023-11-15T00:13:20+02:00", "1700000000.000000000"),
        ("2023-11-14", "1699920000.000000000"),
        ("2023-11-14T22:13", "1699999980.000000000"),
    ],
)
def test_a_point_in_time_may_be_a_duration_a_date_or_a_number(
    timezone: Callable[[str], None], text: str, expected: str
) -> None:
    timezone("UTC")
    assert timestamp(text, now=10000) == expected


@pytest.mark.parametrize("text", ["", "bogus", "10x", "2023-13-01", "1h 30m", "--5s", "2023-11-14T25:00"])
def test_what_is_no_point_in_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="failed to parse value as time or duration"):
        timestamp(text)


def test_an_event_is_shown_with_nine_digits(timezone: Callable[[str], None]) -> None:
    timezone("Etc/GMT-2")
    assert nanosecond_time(1700000000_000000005) == "2023-11-15T00:13:20.000000005+02:00"


@pytest.mark.parametrize(
    ("text", "whole", "short"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1", "docker.io/library/busybox:1", "busybox:1"),
        ("me/x", "docker.io/me/x", "me/x"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("h:5000/x:t", "h:5000/x:t", "h:5000/x:t"),
        ("docker.io/library/x", "docker.io/library/x", "x"),
        (f"x@sha256:{'a' * 64}", f"docker.io/library/x@sha256:{'a' * 64}", "x"),
    ],
)
def test_a_reference_has_a_whole_and_a_familiar_form(text: str, whole: str, short: str) -> None:
    assert str(parse_reference(text)) == whole
    assert familiar(text) == short


@pytest.mark.parametrize("text", ["", "UPPER", "a b", "x:", "x@", "x:-", "a//b", "x@sha256:12", "-x", "é"])
def test_what_is_no_reference_is_refused(transom: Any, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert transom("pull", "--", text) == 1
    assert capsys.readouterr().err.startswith("invalid reference format")
