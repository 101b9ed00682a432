"""A second look at what failed, with real pytest runs."""

from pathlib import Path

import pytest

from hack.pipeline import second_look

UNSTEADY = """
from pathlib import Path

def test_it():
    mark = Path(__file__).with_suffix(".seen")
    seen = mark.exists()
    mark.touch()
    assert seen

def test_other():
    pass
"""
BROKEN = "def test_it():\n    assert False\n"
MANY = f"import pytest\n\n@pytest.mark.parametrize('n', range({second_look.MOST + 1}))\ndef test_it(n):\n    assert False\n"


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        ("def test_it():\n    pass\n", 0, []),
        (UNSTEADY, 0, ["once more, alone: 1 that failed", "1 passed, 1 deselected", "to be made steadier"]),
        (BROKEN, 1, ["once more, alone: 1 that failed"]),
        (MANY, 1, []),
        ("import nothing_of_that_name\n", 2, []),
    ],
    ids=["passes", "unsteady", "broken", "many", "no-run"],
)
def test_what_failed_is_run_once_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], source: str, status: int, said: list[str]
) -> None:
    file = tmp_path / "test_one.py"
    file.write_text(source)
    repaired: list[bool] = []
    assert second_look.main(["-v", str(file)], lambda: repaired.append(True)) == status
    assert bool(repaired) == bool(said)
    out = capfd.readouterr().out
    assert ("once more" in out) == bool(said)
    for text in said:
        assert text in out
