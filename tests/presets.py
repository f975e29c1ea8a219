"""Build directories, as CMakePresets.json describes them."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def configure(preset):
    """Makes build/PRESET ready for ninja: the first time, and when the presets have changed since."""
    made, presets = ROOT / "build" / preset / "build.ninja", ROOT / "CMakePresets.json"
    if not made.exists() or made.stat().st_mtime < presets.stat().st_mtime:
        subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
