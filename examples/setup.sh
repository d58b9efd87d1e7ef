# Sourced from the top folder by quickstart.sh and tests/run.sh.  Makes a virtual environment in .venv with the package
# and one of its extras, and installs BART where it is missing and apt-get may be used.  Keeps what is there already.
extra=$1

install_bart() {
    if ! command -v apt-get >/dev/null; then
        echo "BART is missing: see https://mrirecon.github.io/bart; going on without"
    elif [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
        echo "installing BART ..."
        root=$([ "$(id -u)" = 0 ] || echo sudo)
        { $root apt-get -qq update && $root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install bart; } \
            >/dev/null 2>&1 || echo "BART could not be installed (apt-get install bart); going on without"
    else
        echo "BART is missing: sudo apt-get install bart; going on without"
    fi
}
command -v bart >/dev/null || install_bart &  # while pip downloads

if [ ! -x .venv/bin/python ]; then
    echo "setting up .venv ..."
    rm -rf .venv
    python3 -m venv .venv
fi
source .venv/bin/activate
python -m pip install --quiet --disable-pip-version-check --constraint tests/constraints.txt --editable ".[$extra]"
wait
