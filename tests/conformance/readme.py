"""The texts that a newcomer follows: the first check of the README, the same in other languages in the guide for integrators, and the tour.
Each program and line is taken out of the text, run, and must answer what the text promises."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from node import Demo, free_port

ROOT = Path(__file__).resolve().parents[2]
README, INTEGRATORS, TOUR = "README.md", "docs/guides/integrators.md", "docs/guides/tour.md"
# The first check: page, section, languages. A page that loses a program fails.
FIRST_CHECKS = [(README, "First check in two minutes", ["sh"]), (INTEGRATORS, "A first program", ["python", "javascript"])]
# The section of the tour that needs servers of its own.
NOT_TRIED = "Several nodes"
# What a comment at the end of a line promises: its first word, where that is one of these.
PROMISES = {"not_listed", "card_listed", "other_card_listed", "number_listed", "valid", "issued", "held", "returned", "opens"}
SEPARATOR = "\x1e"


def sections(page):
    """The heading of each section of a page, and its text."""
    parts = re.split(r"^## (.+)\n", (ROOT / page).read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def blocks(text):
    """Language and text of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def section(page, heading):
    found = sections(page)
    assert heading in found, f"{page} has no section {heading!r}"
    return found[heading]


def replaced(text, old, new):
    assert old in text, f"{TOUR} does not say {old!r} any more"
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
    assert kept >= promises_min, f"only {kept} promises were found: has the page another form now?"
    return kept


def clean_environment(binary):
    """A user's: the binary on the path, no variable that configures it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LOSTCARD_")}
    return own | {"PATH": f"{Path(binary).resolve().parent}:{os.environ['PATH']}"}


def first_check(binary):
    demo = Demo(binary)
    try:
        for page, heading, languages in FIRST_CHECKS:
            programs = blocks(section(page, heading))
            assert [language for language, _ in programs] == languages, f"{page}: the programs of {heading!r} are not {languages}"
            for language, text in programs:
                with tempfile.TemporaryDirectory() as folder:
                    answer = run_program(language, text, demo.export, folder, clean_environment(binary))
                assert "card_listed" in answer and "refuse_and_report" in answer, f"{page}: {language} answered: {answer}"
                print(f"{page}, first check: {language}")
    finally:
        demo.stop()


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
    section(TOUR, NOT_TRIED)
    tried = [text for heading, text in sections(TOUR).items() if heading != NOT_TRIED]
    script = "".join(text for part in tried for language, text in blocks(part) if language == "sh")
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
    print(f"{TOUR}: {kept} promises kept")


if __name__ == "__main__":
    try:
        first_check(sys.argv[1])
        tour(sys.argv[1])
    except AssertionError as wrong:
        sys.exit(f"{wrong}")
