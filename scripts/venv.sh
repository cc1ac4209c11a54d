# Sourced by demo, test and check: finds the repository and a Python, and keeps one virtual environment per purpose.
# A venv is built again only when what it was built from changes: pyproject.toml, the extras, the Python.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# Prints the path of a Python that is new enough: $PYTHON if set, else the first on PATH.
find_python() {
    local candidate candidates=(python3 python3.14 python3.13 python3.12 python3.11 python)
    if [[ -n ${PYTHON:-} ]]; then candidates=("$PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found${PYTHON:+ at PYTHON=$PYTHON}; install one, or set PYTHON to its path"
}

# pip_install VENV ARGUMENT...: quiet, and with a message of our own when it fails.
pip_install() {
    local venv=$1
    shift
    "$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-input "$@" ||
        fail "pip could not install: $* (is a package index reachable?)"
}

# ensure_venv VENV EXTRAS: builds VENV with this repository and its EXTRAS, or reuses it as it stands.
ensure_venv() {
    local venv=$1 extras=$2 python stamp
    python=$(find_python)
    stamp="$("$python" -c 'import sys; print(sys.executable, sys.version)') | $root[$extras] | $(cksum <pyproject.toml)"

    exec 9<"$root" # two scripts at once: the second waits, then finds the venv ready
    if command -v flock >/dev/null; then flock 9; fi
    if [[ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]]; then
        printf 'installing into %s ...\n' "${venv#"$root"/}"
        rm -rf "$venv"
        "$python" -m venv "$venv" ||
            fail "$python cannot make a virtual environment; install its venv module (Debian, Ubuntu: apt install python3-venv)"
        pip_install "$venv" --editable ".[$extras]"
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
    exec 9<&-
}

# ensure_package VENV MODULE REQUIREMENT [OPTION...]: adds one package that no extra names, with these options of pip.
ensure_package() {
    local venv=$1 module=$2 requirement=$3
    if ! "$venv/bin/python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$module') is None)"; then
        printf 'installing %s ...\n' "$requirement"
        pip_install "$venv" "$requirement" "${@:4}"
    fi
}
