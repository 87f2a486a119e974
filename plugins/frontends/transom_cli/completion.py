"""`completion`, which prints what makes a shell complete command lines, and `__complete`, which that calls.

The words are those of cobra, the library of Docker's client: `__complete WORD…` prints a line for each candidate for
the last word, with a tab before what it is, and a last line with a colon and what the shell should do (`Directive`).
"""

from __future__ import annotations

import click

from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import ApiCommand, api_command, defaults, parse_flags

__all__ = ["complete", "completion"]

_BASH = r"""# bash completion for transom
_transom() {
    local line=${COMP_LINE:0:COMP_POINT} word words=() index
    # bash cuts words at : and =, too.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        ((index == COMP_CWORD)) && word=${word:0:${#line}}
        if [[ $line == [[:space:]]* || index -eq 0 ]]; then
            line=${line#"${line%%[![:space:]]*}"}
            words+=("")
        fi
        ((index == COMP_CWORD)) && word=$line
        words[${#words[@]} - 1]+=$word
        line=${line#"$word"}
    done
    local current=${words[${#words[@]} - 1]} directive=0 candidate lines=()
    mapfile -t lines < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    ((${#lines[@]})) && directive=${lines[${#lines[@]} - 1]#:} && unset "lines[${#lines[@]} - 1]"
    local cut=${current%"${current##*[:=]}"}
    COMPREPLY=()
    for candidate in "${lines[@]}"; do
        candidate=${candidate%%$'\t'*}
        [[ $candidate == "$current"* ]] && COMPREPLY+=("${candidate#"$cut"}")
    done
    ((directive & 2)) && compopt -o nospace
    ((directive & 4)) && compopt +o default
    return 0
}
complete -o default -F _transom transom
"""
_ZSH = r"""#compdef transom
_transom() {
    local -a lines candidates
    local directive line name about
    lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    directive=${lines[-1]#:}
    lines[-1]=()
    for line in "${lines[@]}"; do
        name=${line%%$'\t'*}
        about=${line#*$'\t'}
        [[ -n $name ]] && candidates+=("${name//:/\\:}${about:+:$about}")
    done
    local -a options
    ((directive & 2)) && options=(-S '')
    if ((${#candidates})); then
        _describe -V 'transom' candidates "${options[@]}"
    elif ! ((directive & 4)); then
        _files
    fi
}
if [[ $funcstack[1] == _transom ]]; then
    _transom "$@"
else
    compdef _transom transom
fi
"""
_FISH = r"""# fish completion for transom
function __transom_complete
    set -l words (commandline -opc)
    set -l lines ($words[1] __complete $words[2..] -- (commandline -ct) 2>/dev/null)
    set -l directive (string replace ':' '' -- $lines[-1])
    set -e lines[-1]
    if test (count $lines) -gt 0
        printf '%s\n' $lines
    else if test -n "$directive"; and test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path (commandline -ct)
    end
end
complete -c transom -e
complete -c transom -f -k -a '(__transom_complete)'
"""
SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}


@api_command("completion", "bash|fish|zsh", about="Generate the completion script for a shell", least=1, most=1)
def completion(_client: Client, arguments: list[str]) -> None:
    """Print the script that makes a shell complete the command lines of `transom`."""
    script = SCRIPTS.get(arguments[0])
    if script is None:
        raise CommandFailed(f'no completion for the shell "{arguments[0]}": choose one of {", ".join(SCRIPTS)}')
    print(script, end="")


def _complete(client: Client, arguments: list[str]) -> None:
    """Print the candidates for the last word. No daemon is started for that."""
    from transom_cli.candidates import find_candidates
    from transom_cli.main import choose_host, root  # which imports this

    *before, last = arguments or [""]
    try:
        found, _ = parse_flags(root, click.Context(root, info_name="transom"), before, interspersed=False)
        host = choose_host({**defaults(root), **found}) or client.host
    except CommandFailed:
        host = client.host
    candidates, directive = find_candidates(Client(host, directory=client.directory), [*before, last])
    for candidate in candidates:
        print(f"{candidate.text}\t{candidate.about}" if candidate.about else candidate.text)
    print(f":{directive}")


class _Verbatim(ApiCommand):
    """A command whose arguments are taken as they are, flags included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the context's arguments."""
        ctx.params, ctx.args = {}, list(args)
        return ctx.args


complete = _Verbatim("__complete", _complete, usage="WORD...", about="Print candidates for the last word", most=None)
