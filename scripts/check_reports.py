"""Opens reports in headless Chromium, 400 and 1400 pixels wide, and prints them. Checks: no console message, no missing picture,
nothing wider than the window, at least one page. Usage: python3 scripts/check_reports.py REPORT.html ..."""

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)

# The report in a frame of the wanted width, because a browser window cannot be as narrow as a telephone.
FRAME = """<!DOCTYPE html><title>check</title><iframe id="f" style="width:{width}px;height:4000px;border:0" srcdoc="{page}"></iframe>
<script>
window.onload = () => {{
  const page = document.getElementById("f").contentDocument;
  const broken = [...page.images].filter(image => !image.naturalWidth).length;
  const result = {{ pictures: page.images.length + page.querySelectorAll("svg").length, broken,
    wide: page.documentElement.scrollWidth > {width}, text: page.body.innerText.length }};
  document.title = "checked";
  document.body.append(Object.assign(document.createElement("pre"), {{ id: "result", textContent: JSON.stringify(result) }}));
}};
</script>"""


def chromium(*arguments):
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               "--enable-logging=stderr", "--v=0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def check(report, folder):
    page = html.escape(report.read_text(), quote=True)
    faults = []
    for width in (400, 1400):
        frame = folder / "frame.html"
        frame.write_text(FRAME.format(width=width, page=page))
        done = chromium("--virtual-time-budget=20000", "--dump-dom", frame.as_uri())
        found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout)
        if not found:
            faults.append(f"{width} px: the page did not load")
            continue
        result = json.loads(html.unescape(found[1]))
        if result["broken"]:
            faults.append(f"{width} px: {result['broken']} missing pictures")
        if result["wide"]:
            faults.append(f"{width} px: wider than the window")
        if result["text"] < 200:
            faults.append(f"{width} px: only {result['text']} letters")
        faults += [f"{width} px: {line}" for line in done.stderr.splitlines() if "CONSOLE" in line]
    printed = folder / "report.pdf"
    chromium(f"--print-to-pdf={printed}", report.resolve().as_uri())
    if not printed.exists() or printed.stat().st_size < 5000:
        faults.append("does not print")
    return faults


def main():
    if CHROMIUM is None:
        sys.exit("no Chromium on this machine: reports were not checked")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:]:
            faults = check(Path(name), Path(folder))
            print(f"{name}: {'; '.join(faults) if faults else 'good'}")
            failed |= bool(faults)
    sys.exit(failed)


main()
