"""How hard the policy is held to its reference: a coefficient that stays, or one that steers the KL to a target (pure)."""

MOST_ERROR = 0.2
"""A step's error counts no more than this share of the target."""


def next_coefficient(coefficient: float, kl: float, *, target: float, gain: float) -> float:
    """The coefficient of the next step.

    ``e = clip(KL / target − 1, ±0.2)`` and ``β ← β (1 + K e)``.

    Args:
        coefficient: β of this step.
        kl: nats of an answer, as measured in this step.
        target: nats of an answer; 0: the coefficient stays.
        gain: K, the share by which it may change in proportion to the error.

    Source: Ziegler et al. 2019, §2.2 (there with K = 0.1).
    """
    if not target:
        return coefficient
    error = max(-MOST_ERROR, min(MOST_ERROR, kl / target - 1))
    return coefficient * (1 + gain * error)
