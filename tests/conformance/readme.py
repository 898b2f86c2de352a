"""The README as its readers use it: its programs and its tour are taken out of the text, run, and must answer what they promise."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from node import Demo, free_port

README = Path(__file__).resolve().parents[2] / "README.md"
# What a comment at the end of a line promises: its first word, where that is one of these.
PROMISES = {"not_listed", "card_listed", "other_card_listed", "number_listed", "valid", "issued", "held", "returned", "opens"}
SEPARATOR = "\x1e"


def blocks(heading):
    """Language and text of the fenced blocks of one section."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S)
    assert section, f"README.md has no section {heading!r}"
    return re.findall(r"^```(\w*)\n(.*?)^```$", section.group(1), re.M | re.S)


def replaced(text, old, new):
    assert old in text, f"README.md does not say {old!r} any more"
    return text.replace(old, new)


def run(script, folder, environment, seconds):
    """What each line of a script prints: a list of (line, output)."""
    lines = [line for line in script.replace("\\\n", "").splitlines() if line.strip()]
    marked = "\n".join(f"{line}\nprintf '{SEPARATOR}'" for line in lines)
    done = subprocess.run(["bash", "-c", marked], cwd=folder, env=environment, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    outputs = done.stdout.split(SEPARATOR)
    assert len(outputs) == len(lines) + 1, f"the shell stopped early: {done.stdout}"
    return list(zip(lines, outputs))


def compare(answers, promises_min):
    """Every promise is kept, and nothing was refused."""
    kept, wrong = 0, []
    for line, output in answers:
        promised = re.search(r" {2,}# (\w+)", line)
        if promised and promised.group(1) in PROMISES:
            kept += 1
            if not re.search(rf"\b{promised.group(1)}\b", output):
                wrong.append(f"promised {promised.group(1)}\n  {line}\n  {output}")
        if re.search(r"/problems/|command not found|^error", output, re.M):
            wrong.append(f"refused\n  {line}\n  {output}")
    assert not wrong, "\n".join(wrong)
    assert kept >= promises_min, f"only {kept} promises were found: is the README's form another one now?"
    return kept


def clean_environment(binary):
    """A user's: the binary on the path, no variable that configures it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LOSTCARD_")}
    return own | {"PATH": f"{Path(binary).resolve().parent}:{os.environ['PATH']}"}


def first_check(binary):
    demo = Demo(binary)
    try:
        done = []
        for language, text in blocks("First check in two minutes"):
            if language == "sh" and text.startswith("cargo "):
                continue
            with tempfile.TemporaryDirectory() as folder:
                answer = run_program(language, text, demo.export, folder, clean_environment(binary))
            assert "card_listed" in answer and "refuse_and_report" in answer, f"{language} answered: {answer}"
            done.append(language)
        assert done == ["sh", "python", "javascript"], f"the programs of the first check: {done}"
    finally:
        demo.stop()
    print("README, first check: " + ", ".join(done))


def run_program(language, text, export, folder, environment):
    if language == "sh":
        script = text
    else:
        name, command = {"python": ("first_check.py", "python3"), "javascript": ("first_check.mjs", "node")}[language]
        assert name in text.splitlines()[0], f"the first line of the {language} program names its file"
        Path(folder, name).write_text(text)
        script = f"{command} {name}"
    done = subprocess.run(["bash", "-c", f"{export}\n{script}"], cwd=folder, env=environment, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{language}: {done.stdout}"
    return done.stdout


def tour(binary):
    script = "".join(text for language, text in blocks("Five-minute tour") if language == "sh")
    script = replaced(script, "cargo build --release\n", "")
    script = replaced(script, 'export PATH="$PWD/target/release:$PATH"\n', "")
    port = free_port()
    script = replaced(script, "url=http://127.0.0.1:8080", f"url=http://127.0.0.1:{port}")
    # The server must not outlive a tour that fails half-way.
    script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n" + script
    environment = clean_environment(binary) | {
        "LOSTCARD_LISTEN": f"127.0.0.1:{port}", "LOSTCARD_METRICS_LISTEN": "127.0.0.1:0", "LOSTCARD_DRAIN_SECONDS": "0"}
    folder = tempfile.mkdtemp()
    try:
        kept = compare(run(script, folder, environment, 180), 8)
    finally:
        shutil.rmtree(folder)
    print(f"README, tour: {kept} promises kept")


if __name__ == "__main__":
    try:
        first_check(sys.argv[1])
        tour(sys.argv[1])
    except AssertionError as wrong:
        sys.exit(f"README.md: {wrong}")
