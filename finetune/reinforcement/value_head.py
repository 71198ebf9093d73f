"""The fourth role on the one base: how much score is still to come, guessed from the policy's last hidden states."""

import torch
from torch import Tensor, nn


class ValueHead(nn.Module):
    """A linear map from hidden states to an expected score, in float32 whatever the base is in.

    It begins as a constant, so that nothing is drawn: 0, or better the mean of the first scores as they count. Were it far from
    them, the first advantages would tell how near a token is to its answer's end, and not what it is worth.

    Args:
        width: of the hidden states.
        device: where they are.
    """

    def __init__(self, width: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.out = nn.Linear(width, 1, dtype=torch.float32, device=device)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @torch.no_grad()
    def begin_at(self, value: float) -> None:
        """Expect so much everywhere."""
        self.out.bias.fill_(value)

    def forward(self, states: Tensor) -> Tensor:
        """``(n, d)`` hidden states → ``(n,)`` expected scores."""
        with torch.autocast(states.device.type, enabled=False):
            values: Tensor = self.out(states.float())[:, 0]
        return values
