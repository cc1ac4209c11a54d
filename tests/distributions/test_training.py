"""Policies learn: REINFORCE and actor-critic, as in PyTorch's examples, in a corridor; the import alone differs."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from tests.oracles import require_torch

LIBRARIES = ["distrt", pytest.param("torch", marks=pytest.mark.ci)]
STEPS, CELLS = 12, 5


def _library(name: str) -> Any:
    return distrt if name == "distrt" else require_torch()


def _episode(act: Any, torch: Any) -> list[float]:
    """A walk in a corridor: every step costs, and its right end gives 1 and ends it."""
    place, rewards = 0, []
    for _ in range(STEPS):
        state = torch.eye(CELLS)[place]
        place = max(0, place + (1 if act(state) == 1 else -1))
        done = place == CELLS - 1
        rewards.append(1.0 if done else -0.1)
        if done:
            break
    return rewards


def _returns(rewards: list[float], torch: Any) -> Any:
    found: list[float] = []
    for reward in reversed(rewards):
        found.insert(0, reward + 0.95 * (found[0] if found else 0.0))
    return torch.tensor(found)


@pytest.mark.parametrize("name", LIBRARIES)
def test_reinforce_learns_to_walk_to_the_end(name: str) -> None:
    torch = _library(name)
    Categorical = torch.distributions.Categorical
    torch.manual_seed(1)
    policy = torch.nn.Sequential(torch.nn.Linear(CELLS, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
    lengths = []
    for _ in range(60):
        saved: list[Any] = []

        def act(state: Any, saved: list[Any] = saved) -> int:
            m = Categorical(torch.softmax(policy(state.unsqueeze(0)), dim=1))
            action = m.sample()
            saved.append(m.log_prob(action))
            return int(action.item())

        rewards = _episode(act, torch)
        returns = _returns(rewards, torch)
        loss = torch.cat([-log_prob * r for log_prob, r in zip(saved, returns, strict=True)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lengths.append(len(rewards))
    assert sum(lengths[-10:]) / 10 < 6 < sum(lengths[:5]) / 5


@pytest.mark.parametrize("name", LIBRARIES)
def test_actor_and_critic_learn_together(name: str) -> None:
    torch = _library(name)
    torch.manual_seed(2)
    body, actor, critic = torch.nn.Linear(CELLS, 16), torch.nn.Linear(16, 2), torch.nn.Linear(16, 1)
    params = [*body.parameters(), *actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(params, lr=2e-2)
    lengths = []
    for _ in range(60):
        saved: list[Any] = []

        def act(state: Any, saved: list[Any] = saved) -> int:
            hidden = torch.relu(body(state))
            m = torch.distributions.Categorical(logits=actor(hidden))
            action = m.sample()
            saved.append((m.log_prob(action), critic(hidden), m.entropy()))
            return int(action.item())

        rewards = _episode(act, torch)
        returns = _returns(rewards, torch)
        losses = []
        for (log_prob, value, entropy), r in zip(saved, returns, strict=True):
            losses.append(-log_prob * (r - value.item()) - 0.005 * entropy)
            losses.append(torch.nn.functional.smooth_l1_loss(value, r.reshape(1)))
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        lengths.append(len(rewards))
    assert sum(lengths[-10:]) / 10 < 6 < sum(lengths[:5]) / 5
