"""Every reason that a user may read has its sentence."""

import pytest

from goldpool.api.conditions import EXPLANATIONS, Reason
from goldpool.contracts.report import FailureReason


@pytest.mark.parametrize("failure", FailureReason)
def test_why_an_operation_failed_is_a_reason_with_a_sentence(failure: FailureReason) -> None:
    assert EXPLANATIONS[Reason(failure)].endswith(".")


@pytest.mark.parametrize("reason", Reason)
def test_no_reason_is_without_its_sentence(reason: Reason) -> None:
    assert reason in EXPLANATIONS
