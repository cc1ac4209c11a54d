"""Trains a small GPT to write like Python's manual, character by character, and lets it write.

    python examples/char_gpt.py
    distrt-launch --nproc-per-node 2 examples/char_gpt.py

The text ships with CPython: the half a million characters of ``help()``'s topics, ``pydoc_data.topics``. All ranks
share each batch, so that one rank and many see the same text. Prints the loss on the last tenth of the text, which is
not trained on, in nats a character (one that knows nothing but how frequent each character is has 3.3), and a sample,
which is also in ``sample.txt`` beside ``model.pt``.
"""

import argparse
import math
import os
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from tqdm import trange

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn import functional as F
from distrt.nn.parallel import DistributedDataParallel


class Block(nn.Module):
    """Each position looks at those before it, then thinks by itself. Shape: (batch, time, width) -> same."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width, bias=False)
        self.projection = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        qkv = self.attention(self.norm1(x)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, time, width / heads)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary, context, width=128, heads=4, layers=3):
        super().__init__()
        self.context = context
        self.characters = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.apply(self.initialise)

    def initialise(self, module):
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, characters):
        """Shape: (batch, time) -> (batch, time, vocabulary): logits of each next character."""
        x = self.characters(characters) + self.positions(
            torch.arange(characters.size(1), device=characters.device)
        )
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, prompt, count, temperature=0.8):
        """Goes on from ``prompt``, of shape (time,), for ``count`` characters."""
        for _ in range(count):
            logits = self(prompt[None, -self.context :])[0, -1] / temperature
            prompt = torch.cat([prompt, torch.multinomial(logits.softmax(0), 1)])
        return prompt


def windows(text, starts, length, device):
    """Inputs and targets of shape (len(starts), length): the target is the input, one character later."""
    pieces = torch.from_numpy(text[starts[:, None] + np.arange(length + 1)])
    if device.type == "cuda":  # from page-locked memory it is copied while the program goes on
        pieces = pieces.pin_memory().to(device, non_blocking=True)
    return pieces[:, :-1], pieces[:, 1:]


def loss_of(model, text, starts, length, device):
    inputs, targets = windows(text, starts, length, device)
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


@torch.no_grad()
def validate(model, text, device):
    """The mean loss over 64 windows spread over the text, which the ranks share."""
    starts = np.linspace(0, len(text) - model.context - 1, 64).astype(int)
    mine = starts[dist.get_rank() :: dist.get_world_size()]
    total = torch.tensor([loss_of(model, text, mine, model.context, device).item() * len(mine), len(mine)])
    dist.all_reduce(total)
    return (total[0] / total[1]).item()


def warm_up_then_cosine(steps, warm_up=20):
    return lambda step: min((step + 1) / warm_up, 0.55 + 0.45 * math.cos(math.pi * step / steps))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch-size", type=int, default=32, help="over all ranks")
    parser.add_argument("--context", type=int, default=64, help="characters that it sees at a time")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--sample", type=int, default=400, help="characters to write at the end")
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/gpt")))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()

    text = "\n".join(topics[name] for name in sorted(topics))
    alphabet = sorted(set(text))
    number = {character: index for index, character in enumerate(alphabet)}
    encoded = np.array([number[character] for character in text])
    train, validation = np.split(encoded, [len(encoded) * 9 // 10])

    torch.manual_seed(0)
    model = GPT(len(alphabet), args.context).to(device)
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(parallel.parameters(), lr=args.lr, betas=(0.9, 0.95), weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_up_then_cosine(args.steps))
    draw = np.random.default_rng(0)  # the same on every rank
    bar = trange(1, args.steps + 1, disable=rank != 0, leave=False)
    for step in bar:
        starts = draw.integers(0, len(train) - args.context - 1, args.batch_size)
        optimizer.zero_grad()
        loss = loss_of(parallel, train, starts[rank::world_size], args.context, device)
        loss.backward()
        nn.utils.clip_grad_norm_(parallel.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        bar.set_postfix(loss=f"{loss.item():.3f}")
        if step % 50 == 0 or step == args.steps:
            score = validate(model, validation, device)
            if rank == 0:
                bar.write(f"step {step:4d}  validation loss {score:.3f}")

    if rank == 0:
        prompt = torch.tensor([number[character] for character in "The "], device=device)
        sample = "".join(alphabet[index] for index in model.write(prompt, args.sample).tolist())
        args.output.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), args.output / "model.pt")
        (args.output / "sample.txt").write_text(sample, encoding="utf-8")
        print(f"{sample}\n\nsample: {args.output / 'sample.txt'}")
        print(f"validation loss: {score:.4f} ({world_size} rank{'s' if world_size > 1 else ''})")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
