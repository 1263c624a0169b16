"""What `bedside chat` and `bedside ask` show people."""

from __future__ import annotations

import pytest

from app.cli.ask import show_reply
from app.contracts.replies import Reply, ReplyKind, Tier


@pytest.mark.parametrize(("handoff", "told"), [("emergency:cardiac", True), (None, False)])
def test_a_trial_says_that_it_tells_nobody(capsys: pytest.CaptureFixture[str], handoff: str | None, told: bool) -> None:
    show_reply(Reply("Call 911 now.", "Call 911 now.", ReplyKind.EMERGENCY, tier=Tier.EMERGENCY, handoff=handoff))
    shown = capsys.readouterr()
    assert shown.out == "Call 911 now.\n"
    assert "(emergency, tier emergency)" in shown.err
    assert ("no person is told" in shown.err) is told
