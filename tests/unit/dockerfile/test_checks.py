"""Build checks: what they find, in Docker's words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from transom.dockerfile.checks import RULES, Options, check, options_of, render
from transom.dockerfile.ignore import Patterns
from transom.dockerfile.parse import DockerfileError, parse
from transom.dockerfile.stages import plan
from transom.errors import InvalidParameter
from transom.graph.digest import Digest
from transom.graph.model import Image, Platform, RunConfig

AMD64 = Platform("linux", "amd64")
BASE = Image(Digest("sha256:" + "0" * 64), AMD64, RunConfig(env=("PATH=/bin", "JAVA_HOME=/java")))


def found(
    text: str, build_args: Mapping[str, str] | None = None, ignored: str | None = None
) -> list[tuple[str, int, str]]:
    """Return the rule, the line and the sentence of each finding; what stages begin with is known."""
    made = plan(parse(text), build_args=build_args, platform=AMD64, build_platform=AMD64)
    bases = dict.fromkeys(range(len(made.everything)), BASE)
    patterns = Patterns.parse(ignored) if ignored is not None else None
    findings = check(made, everything=True, bases=bases, ignored=patterns)
    return [(finding.rule, finding.location.first, finding.detail) for finding in findings]


@pytest.mark.parametrize(
    ("text", "rule", "line", "detail"),
    [
        ("FROM scratch AS Bad", "StageNameCasing", 1, "Stage name 'Bad' should be lowercase"),
        ("FROM scratch as a", "FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match"),
        ("from scratch AS a", "FromAsCasing", 1, "'AS' and 'from' keywords' casing do not match"),
        ("FROM scratch\nCOPY a \\\n\n.\n", "NoEmptyContinuation", 4, "Empty continuation line"),
        (
            "FROM scratch\ncopy a /\nCOPY a /\n",
            "ConsistentInstructionCasing",
            2,
            "Command 'copy' should match the case of the command majority (uppercase)",
        ),
        (
            "from scratch\ncopy a /\nCopy a /\n",
            "ConsistentInstructionCasing",
            3,
            "Command 'Copy' should match the case of the command majority (lowercase)",
        ),
        (
            "FROM scratch AS b\nFROM scratch AS b",
            "DuplicateStageName",
            2,
            'Duplicate stage name "b", stage names should be unique',
        ),
        (
            "FROM scratch AS context",
            "ReservedStageName",
            1,
            'Stage name should not use the same name as reserved stage "context"',
        ),
        (
            "FROM scratch\nCMD run it",
            "JSONArgsRecommended",
            2,
            "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        ),
        (
            "FROM scratch\nENTRYPOINT run it",
            "JSONArgsRecommended",
            2,
            "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals",
        ),
        (
            "FROM scratch\nMAINTAINER me",
            "MaintainerDeprecated",
            2,
            "Maintainer instruction is deprecated in favor of using label",
        ),
        (
            "ARG TAG\nFROM busybox:${TGA:-1}",
            "UndefinedArgInFrom",
            2,
            "FROM argument 'TGA' is not declared (did you mean TAG?)",
        ),
        ("FROM busybox${version}", "UndefinedArgInFrom", 1, "FROM argument 'version' is not declared"),
        (
            "FROM scratch\nWORKDIR app/",
            "WorkdirRelativePath",
            2,
            'Relative workdir "app/" can have unexpected results if the base image changes',
        ),
        ("FROM x\nCOPY $foo .\nARG foo=1", "UndefinedVar", 2, "Usage of undefined variable '$foo'"),
        (
            "FROM x\nENV PATH=$PAHT:/tmp/bin",
            "UndefinedVar",
            2,
            "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
        ),
        ("FROM x\nARG a=$b", "UndefinedVar", 2, "Usage of undefined variable '$b'"),
        (
            'FROM scratch\nCMD ["a"]\nCOPY <<E /\nE\nCMD ["b"]',
            "MultipleInstructionsDisallowed",
            2,
            "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
        ),
        (
            "FROM scratch\nENV a b",
            "LegacyKeyValueFormat",
            2,
            '"ENV key=value" should be used instead of legacy "ENV key value" format',
        ),
        (
            "FROM --platform=$TARGETPLATFORM x",
            "RedundantTargetPlatform",
            1,
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        ),
        (
            "FROM scratch\nARG GITHUB_TOKEN",
            "SecretsUsedInArgOrEnv",
            2,
            'Do not use ARG or ENV instructions for sensitive data (ARG "GITHUB_TOKEN")',
        ),
        (
            "FROM scratch\nENV password=1",
            "SecretsUsedInArgOrEnv",
            2,
            'Do not use ARG or ENV instructions for sensitive data (ENV "password")',
        ),
        (
            "FROM --platform=linux/amd64 x",
            "FromPlatformFlagConstDisallowed",
            1,
            'FROM --platform flag should not use constant value "linux/amd64"',
        ),
        (
            "FROM scratch\nEXPOSE 80/TcP",
            "ExposeProtoCasing",
            2,
            "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
        ),
        (
            "FROM scratch\nEXPOSE 127.0.0.1:80:80",
            "ExposeInvalidFormat",
            2,
            "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
        ),
        (
            "# check=experimental=InvalidDefinitionDescription\n# what it is\nARG foo=bar\nFROM scratch",
            "InvalidDefinitionDescription",
            3,
            "Comment for ARG should follow the format: `# foo <description>`",
        ),
        (
            "# check=experimental=all\nFROM scratch\n# what they are\nARG foo=bar baz",
            "InvalidDefinitionDescription",
            4,
            "Comment for ARG should follow the format: `# <arg_key> <description>`",
        ),
        (
            "# check=experimental=all\n# Base is it\nFROM scratch AS base",
            "InvalidDefinitionDescription",
            3,
            "Comment for FROM should follow the format: `# base <description>`",
        ),
    ],
)
def test_a_rule_is_not_kept(text: str, rule: str, line: int, detail: str) -> None:
    assert found(text) == [(rule, line, detail)]


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch AS base\nFROM scratch AS base2",
        "From scratch\n",
        "from scratch as a\ncopy a /",
        'FROM scratch\nSHELL ["/x"]\nCMD run it',
        'FROM scratch AS a\nSHELL ["/x"]\nFROM a\nENTRYPOINT run it',
        'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]',
        "ARG V=1\nFROM x:$V",
        "ARG DEBUG\nFROM x${DEBUG}",
        "FROM --platform=$BUILDPLATFORM x",
        "FROM --platform=linux/amd64 x AS my_amd64_stage",
        "FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR sub",
        "FROM scratch AS a\nFROM A",
        "FROM x\nARG foo\nCOPY a${foo} .",
        "FROM x AS a\nARG foo=1\nFROM a\nCOPY $foo .",
        "FROM x\nENV A=$JAVA_HOME",
        "FROM x\nRUN echo $nothing",
        "FROM scratch\nENV PUBLIC_KEY=1 key_file=x\nARG token_version",
        "# check=experimental=all\n# foo is it\nARG foo=1\n\n# other\n\nARG b\n# x\n#\nFROM scratch AS z",
        "# what it is\nARG foo=bar\nFROM scratch",
    ],
)
def test_all_rules_are_kept(text: str) -> None:
    findings = [finding for finding in found(text) if finding[0] != "ConsistentInstructionCasing"]
    assert findings == []


def test_a_default_that_makes_no_name_is_found_whatever_the_client_gives() -> None:
    detail = "Default value for ARG busybox:$VERSION results in empty or invalid base image name"
    expected = [("InvalidDefaultArgInFrom", 2, detail)]
    assert found("ARG VERSION\nFROM busybox:$VERSION", {"VERSION": "latest"}) == expected
    assert found("ARG VERSION=1\nFROM busybox:$VERSION", {"VERSION": "latest"}) == []


def test_what_is_copied_and_left_out_is_found() -> None:
    text = "# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY a ./b/../c .\nADD a https://x/c /\nCOPY . /\n"
    assert found(text, ignored="a\nc\n") == [
        ("CopyIgnoredFile", 3, 'Attempting to Copy file "a" that is excluded by .dockerignore'),
        ("CopyIgnoredFile", 3, 'Attempting to Copy file "c" that is excluded by .dockerignore'),
        ("CopyIgnoredFile", 4, 'Attempting to Add file "a" that is excluded by .dockerignore'),
    ]
    assert found(text, ignored="a\n!a/b\n") == []
    assert [line for _, line, _ in found(text, ignored="*\n")] == [3, 3, 4, 5]


def test_nothing_is_said_of_variables_that_an_unknown_image_may_have() -> None:
    made = plan(parse("FROM x\nENV A=$B\nFROM scratch\nENV A=$B"))
    assert [finding.location.first for finding in check(made, everything=True)] == [4]
    assert check(plan(parse("FROM x\nUSER ${JAVA_HOME:?}\nCMD x"))) == []
    with pytest.raises(DockerfileError, match="JAVA_HOME"):
        check(plan(parse("FROM scratch\nUSER ${JAVA_HOME:?}")))


def test_an_image_for_another_platform_is_found() -> None:
    made = plan(parse("FROM x"), platform=Platform("linux", "arm64"))
    (finding,) = check(made, bases={0: BASE})
    detail = 'Base image x was pulled with platform "linux/amd64", expected "linux/arm64" for current build'
    assert (finding.detail, finding.url) == (detail, "")


def test_only_stages_that_are_needed_are_looked_at_unless_all_are() -> None:
    made = plan(parse("FROM scratch AS a\nENV a b\nFROM scratch"))
    assert check(made) == []
    assert len(check(made, everything=True)) == 1


def test_the_dockerfile_says_which_rules_it_follows() -> None:
    text = "FROM scratch as a\nCMD x\n"
    assert [rule for rule, _, _ in found(text)] == ["FromAsCasing", "JSONArgsRecommended"]
    assert found(f"# check=skip=all\n{text}") == []
    assert [rule for rule, _, _ in found(f"# check=skip=FromAsCasing, X\n{text}")] == ["JSONArgsRecommended"]
    assert len(found(f"# check=skip=all\n{text}", {"BUILDKIT_DOCKERFILE_CHECK": ""})) == 2


def test_findings_are_errors_where_the_dockerfile_says_so() -> None:
    made = plan(parse("# check=error=true\nFROM scratch as a\nCMD x"))
    findings = check(made)
    with pytest.raises(InvalidParameter) as caught:
        options_of(made).refuse(findings)
    assert str(caught.value) == "lint violation found for rules: FromAsCasing, JSONArgsRecommended"
    Options().refuse(findings)
    Options(error=True).refuse([])


@pytest.mark.parametrize("option", ["x", "x=1", "error=maybe", "skip=a;skip=b"])
def test_an_option_that_means_nothing_is_refused(option: str) -> None:
    with pytest.raises(DockerfileError, match="check option"):
        options_of(plan(parse(f"# check={option}\nFROM scratch")))


def test_findings_are_shown_with_their_lines() -> None:
    dockerfile = parse("FROM scratch AS A\nRUN true\nCMD x\n", "web.Dockerfile")
    assert render(check(plan(dockerfile)), dockerfile) == (
        "Check complete, 2 warnings have been found!\n"
        "\n"
        "WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n"
        "Stage name 'A' should be lowercase\n"
        "web.Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM scratch AS A\n"
        "   2 |     RUN true\n"
        "   3 |     CMD x\n"
        "--------------------\n"
        "\n"
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "web.Dockerfile:3\n"
        "--------------------\n"
        "   1 |     FROM scratch AS A\n"
        "   2 |     RUN true\n"
        "   3 | >>> CMD x\n"
        "   4 |     \n"
        "--------------------\n"
    )


def test_nothing_found_is_said_too() -> None:
    dockerfile = parse("FROM scratch")
    assert render([], dockerfile) == "Check complete, no warnings found.\n"
    assert render(check(plan(parse("FROM scratch\nCMD x"))), dockerfile).startswith(
        "Check complete, 1 warning has been"
    )


def test_every_rule_has_its_page() -> None:
    pages = {rule.url.rsplit("/", 2)[-2] for rule in RULES.values() if rule.url}
    assert {"json-args-recommended", "secrets-used-in-arg-or-env", "undefined-arg-in-from"} <= pages
    assert [rule.name for rule in RULES.values() if not rule.url] == ["InvalidBaseImagePlatform"]
