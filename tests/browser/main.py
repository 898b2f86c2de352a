"""Runs every case against one demo node under traffic and one Chromium; each case has a fresh browser context. Ends with 1 if one fails."""

import os
import shutil
import sys
import time
import traceback

from playwright.sync_api import Error, sync_playwright

import administration
import answers
import console
import devices
import entering
import guests
import looks
import officers
import papers
import passkeys
import persons
import portal
import private_mode
import reference
import refusals
import station
import verify
from harness import PAGES, Administration, Console, Desk, Reference, Station, Verify
from node import Node, Traffic


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/debug/lostcard"
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    node = Node(binary)
    traffic = None
    failed = []
    started = time.monotonic()
    try:
        traffic = Traffic(node)
        with sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
            # A page that comes from disk has no address, so Chromium takes this machine for a network that it must not call.
            args = ["--no-sandbox", *(["--disable-features=LocalNetworkAccessChecks"] if PAGES else [])]
            browser = playwright.chromium.launch(executable_path=chromium, args=args)
            areas = [(Desk, entering), (Desk, answers), (Desk, guests), (Desk, papers), (Desk, refusals), (Desk, looks), (Desk, private_mode), (Station, station), (devices.Device, devices), (officers.Officers, officers), (Verify, verify), (Console, console), (Administration, administration), (persons.Persons, persons), (passkeys.Passkeys, passkeys), (portal.Portal, portal), (Reference, reference)]
            cases = [(kind, case) for kind, area in areas for case in area.CASES if only in f"{area.__name__}.{case.__name__}"]
            for kind, case in cases:
                begun = time.monotonic()
                try:
                    with kind(browser, node, binary) as desk:
                        try:
                            case(desk)
                        finally:
                            desk.keep(f"{case.__module__}-{case.__name__}")
                        desk.settle()
                    print(f"ok    {case.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
                except Exception as error:  # noqa: BLE001 - a case fails in any way
                    failed.append(case.__name__)
                    print(f"FAIL  {case.__name__}\n{traceback.format_exc(limit=2 if isinstance(error, Error) else None)}", flush=True)
            browser.close()
    finally:
        if traffic:
            traffic.stop()
        portal.Portal.stop()
        persons.Persons.stop()
        passkeys.Passkeys.stop()
        node.stop()
    print(f"{len(cases) - len(failed)} of {len(cases)} cases passed, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
