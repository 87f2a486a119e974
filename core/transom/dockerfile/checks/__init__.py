"""Build checks: what a Dockerfile says that is better said in another way, by Docker's rules and in its words.

findings = check(plan, bases={0: image.config})
print(render(findings, plan.dockerfile), end="")
options_of(plan).refuse(findings)          # where the Dockerfile says so, findings are errors
"""

from transom.dockerfile.checks.checker import check
from transom.dockerfile.checks.options import Options, options_of
from transom.dockerfile.checks.report import render
from transom.dockerfile.checks.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "Options", "Rule", "check", "options_of", "render"]
