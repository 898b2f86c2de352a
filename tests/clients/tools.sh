# shellcheck shell=bash
# What the clients' scripts have in common: packages of Debian, Node and Python, installed only where they are missing or have changed.

# install PACKAGE...: packages of Debian.
install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# debian COMMAND PACKAGE...: the packages, where the command is missing.
debian() {
    command -v "$1" >/dev/null 2>&1 || install "${@:2}"
}

# node_tools HERE TOOLS: TOOLS/node_modules as HERE/package-lock.json has it.
node_tools() {
    debian npm nodejs npm
    if ! cmp -s "$1/package-lock.json" "$2/installed-lock.json"; then
        rm -f "$2/installed-lock.json"
        cp "$1/package.json" "$1/package-lock.json" "$2"
        (cd "$2" && npm ci --silent --no-audit --no-fund --ignore-scripts)
        cp "$1/package-lock.json" "$2/installed-lock.json"
    fi
}

# python_tools HERE TOOLS: a virtual environment TOOLS/python as HERE/requirements.txt has it.
python_tools() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    if ! cmp -s "$1/requirements.txt" "$2/requirements.txt"; then
        rm -rf "$2/python" "$2/requirements.txt"
        python3 -m venv "$2/python"
        "$2/python/bin/pip" install --quiet --disable-pip-version-check -r "$1/requirements.txt"
        cp "$1/requirements.txt" "$2/requirements.txt"
    fi
}
