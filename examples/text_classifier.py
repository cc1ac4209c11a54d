"""Tells what a paragraph of Python's manual is about, with an LSTM or a Transformer.

    python examples/text_classifier.py
    distrt-launch --nproc-per-node 2 examples/text_classifier.py --model transformer

The text ships with CPython: chapters of ``help()``'s topics, ``pydoc_data.topics``, on five subjects, cut into
paragraphs, a fifth of which is for the test. They differ in length: the LSTM reads them packed, the Transformer with a
padding mask. Prints the accuracy of each epoch, then how often each subject (row) was taken for each other (column),
which ``confusion.txt`` keeps beside ``model.pt``. To always name the most frequent subject is right one time in three.
"""

import argparse
import os
import re
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from tqdm import tqdm

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel
from distrt.nn.utils.rnn import pack_padded_sequence, pad_sequence
from distrt.utils.data import DataLoader
from distrt.utils.data.distributed import DistributedSampler

SUBJECTS = {
    "statements": ["assignment", "compound", "import", "raise"],
    "objects": ["specialnames"],
    "strings": ["formatstrings", "strings", "string-methods"],
    "containers": ["typesmapping", "typesseq"],
    "debugger": ["debugger"],
}
PADDING, UNKNOWN = 0, 1
MAX_WORDS = 64


class LSTMClassifier(nn.Module):
    def __init__(self, vocabulary, classes, width=64, hidden=96):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(2 * hidden, classes)

    def forward(self, words, lengths):
        """Shape: (batch, time), (batch,) on the CPU -> (batch, classes)."""
        embedded = self.dropout(self.embedding(words))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)  # after each paragraph's last word, and its first
        return self.classifier(self.dropout(torch.cat([hidden[0], hidden[1]], dim=1)))


class TransformerClassifier(nn.Module):
    def __init__(self, vocabulary, classes, width=64, heads=4, layers=2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.positions = nn.Embedding(MAX_WORDS, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.3, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.dropout = nn.Dropout(0.3)
        self.classifier = nn.Linear(width, classes)

    def forward(self, words, lengths):
        """Shape: (batch, time), (batch,) on the CPU -> (batch, classes)."""
        is_padding = words == PADDING
        x = self.dropout(
            self.embedding(words) + self.positions(torch.arange(words.size(1), device=words.device))
        )
        x = self.encoder(x, src_key_padding_mask=is_padding)
        x = x.masked_fill(is_padding[:, :, None], 0.0)
        mean = x.sum(1) / lengths[:, None].to(x.device)  # over the words
        return self.classifier(self.dropout(mean))


def load_splits():
    """(train, test, vocabulary): pairs of a paragraph's word numbers and its subject; the same cut on every rank."""
    paragraphs = {}  # of those that stand in two places, the first counts
    for label, chapters in enumerate(SUBJECTS.values()):
        for paragraph in "\n\n".join(topics[chapter] for chapter in chapters).split("\n\n"):
            words = re.findall(r"\w+|[^\w\s]", paragraph.lower())[:MAX_WORDS]
            if len(words) >= 12:
                paragraphs.setdefault(tuple(words), label)
    samples = list(paragraphs.items())
    order = np.random.default_rng(0).permutation(len(samples))
    test, train = ([samples[i] for i in part] for part in np.split(order, [len(samples) // 5]))
    frequent = Counter(word for words, _ in train for word in words)
    number = {word: i for i, word in enumerate([w for w, count in frequent.items() if count > 1], start=2)}
    encoded = [
        [(torch.tensor([number.get(word, UNKNOWN) for word in words]), label) for words, label in part]
        for part in (train, test)
    ]
    return *encoded, len(number) + 2


def collate(samples):
    words, labels = zip(*samples, strict=True)
    lengths = torch.tensor([len(sequence) for sequence in words])
    return pad_sequence(words, batch_first=True, padding_value=PADDING), lengths, torch.tensor(labels)


def train_one_epoch(model, device, optimizer, loader):
    """Returns the mean loss over all ranks."""
    model.train()
    total = torch.zeros(2)
    for words, lengths, labels in loader:
        words, labels = words.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(words, lengths), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += torch.tensor([loss.item() * len(labels), len(labels)])
    dist.all_reduce(total)
    return (total[0] / total[1]).item()


@torch.no_grad()
def confusion(model, device, dataset):
    """How many paragraphs of each subject (row) were taken for each (column), each counted once."""
    model.eval()
    counts = torch.zeros(len(SUBJECTS) ** 2, dtype=torch.int64)
    mine = DistributedSampler(dataset, shuffle=False, padding="none")
    for words, lengths, labels in DataLoader(dataset, 128, sampler=mine, collate_fn=collate):
        cells = labels * len(SUBJECTS) + model(words.to(device), lengths).argmax(1).cpu()
        counts += torch.bincount(cells, minlength=len(counts))
    dist.all_reduce(counts)
    return counts.reshape(len(SUBJECTS), len(SUBJECTS))


def as_table(counts):
    head = " " * 12 + "".join(f"{subject:>12}" for subject in SUBJECTS)
    named = zip(SUBJECTS, counts.tolist(), strict=True)
    rows = [f"{subject:12}" + "".join(f"{n:12d}" for n in row) for subject, row in named]
    return "\n".join([head, *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["lstm", "transformer"], default="lstm")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=32, help="over all ranks")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("DISTRT_RUN_DIR", "runs/text")))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # each rank drives a GPU of its own
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()
    train, test, vocabulary = load_splits()
    torch.manual_seed(0)
    make_model = {"lstm": LSTMClassifier, "transformer": TransformerClassifier}[args.model]
    model = make_model(vocabulary, len(SUBJECTS)).to(device)
    parallel = DistributedDataParallel(model)
    torch.manual_seed(1 + rank)  # from here on each rank draws its own dropout masks
    optimizer = torch.optim.AdamW(parallel.parameters(), lr=args.lr)
    sampler = DistributedSampler(train)
    batch_size = max(1, args.batch_size // world_size)
    loader = DataLoader(
        train, batch_size, sampler=sampler, collate_fn=collate, pin_memory=device.type == "cuda"
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs + 1)

    if rank == 0:
        print(f"{len(train)} paragraphs to learn from, {len(test)} to test, {vocabulary} words\n{model}")
    for epoch in range(1, args.epochs + 1):
        sampler.set_epoch(epoch)
        loss = train_one_epoch(parallel, device, optimizer, tqdm(loader, disable=rank != 0, leave=False))
        scheduler.step()
        counts = confusion(model, device, test)
        accuracy = (counts.diagonal().sum() / counts.sum()).item()
        if rank == 0:
            print(f"epoch {epoch:2d}  loss {loss:.4f}  accuracy {accuracy:.4f}")

    if rank == 0:
        args.output.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), args.output / "model.pt")
        (args.output / "confusion.txt").write_text(as_table(counts) + "\n", encoding="utf-8")
        print(f"\n{as_table(counts)}\n\nconfusion: {args.output / 'confusion.txt'}")
        print(f"test accuracy: {accuracy:.4f} ({world_size} rank{'s' if world_size > 1 else ''})")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
