"""``--print-completion bash`` (or ``zsh``): what the shell needs to complete our options and their values."""

from launch.command.options import OPTIONS, OWN_OPTIONS

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh")
_SCRIPT = """\
# distrt-launch's completion: eval "$(distrt-launch --print-completion {shell})"
{before}_distrt_launch() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} words=
    case $previous in
{cases}
    esac
    if [[ -z $words && $current == -* ]]; then words="{options}"; fi
    if [[ -z $words && $COMP_CWORD == 1 ]]; then words="doctor report submit top trace"; fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _distrt_launch distrt-launch
"""


def completion(shell: str) -> str:
    """Return the shell's code; scripts, and values that are not among a few, are completed as files."""
    every = (*OPTIONS, *OWN_OPTIONS)
    cases = [
        f'    {"|".join(option.spellings)}) words="{" ".join(option.choices)}";;'
        for option in every
        if option.choices
    ]
    cases.append(f'    --print-completion) words="{" ".join(SHELLS)}";;')
    names = [f"--{name}" for option in every for name in (option.name, *option.aliases)]
    before = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    options = " ".join([*names, "--help", "--print-completion"])
    return _SCRIPT.format(shell=shell, before=before, cases="\n".join(cases), options=options)
