"""Language models as public scripts write and train them: twenty steps in both libraries from the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle import small_models, tutorial_models
from tests.oracle.small_models import BERT_CONFIG, GPTConfig

STEPS = 20


def _both(torch: Any, make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The model in both libraries, in float64, with the same weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nested tensors, which seq-first encoders do not use
        ours, theirs = make(distrt).double(), make(torch).double()
    state = {name: each.numpy() for name, each in theirs.state_dict().items()}
    assert list(state) == list(ours.state_dict())
    ours.load_state_dict({name: distrt.tensor(array) for name, array in state.items()})
    return ours, theirs


def _losses_agree(torch: Any, models: tuple[Any, Any], train: Callable[[Any, Any], list[float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of masks of two kinds, which the tutorials use
        found, expected = train(distrt, models[0]), train(torch, models[1])
    assert len(expected) == STEPS and np.mean(expected[-5:]) < np.mean(expected[:5])
    np.testing.assert_allclose(found, expected, 1e-8, 0)
    for (name, mine), theirs in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), 1e-5, 1e-7, err_msg=name)


@pytest.mark.parametrize("flash", [True, False], ids=["fused", "by hand"])
@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
def test_gpt_learns_as_in_pytorch(flash: bool, bias: bool, torch: Any, rng: np.random.Generator) -> None:
    config = GPTConfig(flash=flash, bias=bias)
    models = _both(torch, lambda library: small_models.gpt(library)(config))
    assert models[0].get_num_params() == models[1].get_num_params()
    data = np.cumsum(rng.integers(1, 3, 200)) % config.vocab_size

    def train(library: Any, model: Any) -> list[float]:
        optimizer = model.configure_optimizers(0.1, 1e-2, (0.9, 0.95), "cpu")
        assert [len(group["params"]) for group in optimizer.param_groups] == [
            sum(each.dim() >= 2 for each in model.parameters()),
            sum(each.dim() < 2 for each in model.parameters()),
        ]
        places = np.random.default_rng(0)
        losses = []
        for _ in range(STEPS):
            ix = places.integers(0, len(data) - config.block_size, 4)
            x = library.stack([library.from_numpy(data[i : i + config.block_size]) for i in ix])
            y = library.stack([library.from_numpy(data[i + 1 : i + 1 + config.block_size]) for i in ix])
            _, loss = model(x, y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            library.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        return losses

    _losses_agree(torch, models, train)
    start = data[None, :3]
    words = [
        model.eval().generate(library.tensor(start), 10, top_k=1).tolist()
        for library, model in zip((distrt, torch), models, strict=True)
    ]
    assert words[0] == words[1]
    assert models[0].transformer.wte.weight is models[0].lm_head.weight


def test_bert_learns_as_in_pytorch(torch: Any, rng: np.random.Generator) -> None:
    models = _both(torch, lambda library: small_models.bert(library)(BERT_CONFIG))
    batches = []
    for _ in range(STEPS):
        words = rng.integers(3, 7, (4, 10))
        attended = np.arange(10) < rng.integers(4, 11, (4, 1))
        words = np.where(attended, words, 0)
        chosen = (rng.random((4, 10)) < 0.3) & attended
        chosen[0, 0] = True
        batches.append(
            (
                np.where(chosen, 2, words),
                attended.astype(np.int64),
                (np.arange(10) >= 5).astype(np.int64) * np.ones((4, 1), np.int64),
                np.where(chosen, words, -100),
                rng.integers(0, 2, 4),
            )
        )

    def train(library: Any, model: Any) -> list[float]:
        no_decay = ["bias", "LayerNorm.weight"]
        grouped = [
            {
                "params": [p for n, p in model.named_parameters() if not any(nd in n for nd in no_decay)],
                "weight_decay": 0.01,
            },
            {
                "params": [p for n, p in model.named_parameters() if any(nd in n for nd in no_decay)],
                "weight_decay": 0.0,
            },
        ]
        optimizer = library.optim.AdamW(grouped, lr=5e-3, eps=1e-8)
        scheduler = library.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / 5) * max(0.0, (30 - step) / 30)
        )
        model.train()
        losses = []
        for batch in batches:
            loss = model(*(library.tensor(each) for each in batch))
            loss.backward()
            library.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            model.zero_grad()
            losses.append(loss.item())
        return losses

    _losses_agree(torch, models, train)


def test_the_tutorials_language_model_learns_as_in_pytorch(torch: Any, rng: np.random.Generator) -> None:
    models = _both(torch, lambda library: tutorial_models.word_language_model(library)(13, 8, 2, 16, 2))
    data = np.cumsum(rng.integers(1, 3, (STEPS * 5 + 1, 4)), 0) % 13

    def train(library: Any, model: Any) -> list[float]:
        criterion = library.nn.CrossEntropyLoss()
        optimizer = library.optim.SGD(model.parameters(), lr=0.5)
        scheduler = library.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.95)
        model.train()
        losses = []
        for i in range(0, STEPS * 5, 5):
            source = library.tensor(data[i : i + 5])
            targets = library.tensor(data[i + 1 : i + 6]).reshape(-1)
            output = model(source)
            loss = criterion(output.view(-1, 13), targets)
            optimizer.zero_grad()
            loss.backward()
            library.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        return losses

    _losses_agree(torch, models, train)


def test_the_tutorials_translator_learns_as_in_pytorch(torch: Any, rng: np.random.Generator) -> None:
    models = _both(torch, lambda library: tutorial_models.translator(library)(2, 8, 2, 11, 13))
    pad = 1

    def sentences(length: int, words: int) -> Any:
        drawn = rng.integers(2, words, (length, 4))
        return np.where(np.arange(length)[:, None] < rng.integers(3, length + 1, 4), drawn, pad)

    pairs = [(sentences(6, 11), sentences(7, 13)), (sentences(5, 11), sentences(6, 13))] * (STEPS // 2)

    def train(library: Any, model: Any) -> list[float]:
        loss_fn = library.nn.CrossEntropyLoss(ignore_index=pad)
        optimizer = library.optim.Adam(model.parameters(), lr=0.005, betas=(0.9, 0.98), eps=1e-9)
        model.train()
        losses = []
        for src, tgt in ((library.tensor(a), library.tensor(b)) for a, b in pairs):
            tgt_input = tgt[:-1, :]
            logits = model(src, tgt_input, *tutorial_models.translation_masks(library, src, tgt_input, pad))
            optimizer.zero_grad()
            tgt_out = tgt[1:, :]
            loss = loss_fn(logits.reshape(-1, logits.shape[-1]), tgt_out.reshape(-1))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    _losses_agree(torch, models, train)
