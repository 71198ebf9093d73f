"""What PPO, RLOO and GRPO are made of: answers that the policy writes, their scores, and how it learns from them."""
