"""Muon: momentum made orthogonal, for the matrices; it needs about half the tokens that AdamW does here."""

import torch
from torch import Tensor


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """A matrix with the same directions and singular values near 1, by Newton-Schulz iteration."""
    x = matrix.mT if matrix.size(-2) > matrix.size(-1) else matrix
    x = x.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if matrix.size(-2) > matrix.size(-1) else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal. A group's ``parts`` says how many matrices are fused in its parameters."""

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "parts": 1})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move every matrix."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                average = state.setdefault("momentum", torch.zeros_like(matrix))
                average.lerp_(matrix.grad, 1 - group["momentum"])
                moved = matrix.grad.lerp(average, group["momentum"])
                parts = moved.view(group["parts"], -1, matrix.size(1))
                scale = max(1.0, parts.size(1) / parts.size(2)) ** 0.5
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(orthogonal(parts).reshape(matrix.shape), alpha=-group["lr"] * scale)
