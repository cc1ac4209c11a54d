"""Area Z: the text classifiers of the documents, with the same weights as PyTorch's. ``examples/`` has them learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.inventory.rows import covers


def _lstm(nn: Any) -> Any:
    class TextClassifier(nn.Module):
        def __init__(self, vocab_size: int, embedding_dim: int, hidden_dim: int, num_classes: int) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, embedding_dim)
            self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)
            self.fc = nn.Linear(hidden_dim, num_classes)
            self.dropout = nn.Dropout(0.3)

        def forward(self, x: Any) -> Any:
            _, (hidden, _) = self.lstm(self.embedding(x))
            return self.fc(self.dropout(hidden[-1]))

    return TextClassifier(1000, 100, 128, 3)


def _transformer(nn: Any) -> Any:
    class TextClassifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(1000, 64)
            self.pos_embedding = nn.Embedding(512, 64)
            layer = nn.TransformerEncoderLayer(
                d_model=64, nhead=8, dim_feedforward=256, dropout=0.1, batch_first=True
            )
            self.transformer = nn.TransformerEncoder(layer, 2)
            self.classifier = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))

        def forward(self, x: Any) -> Any:
            x = self.embedding(x) + self.pos_embedding.weight[: x.size(1)]
            return self.classifier(self.transformer(x).mean(dim=1))

    return TextClassifier()


@pytest.mark.parametrize(
    "make", [pytest.param(_lstm, id="lstm"), pytest.param(_transformer, id="transformer")]
)
@covers("Z6", "Z8")
def test_text_classifiers_are_pytorchs(torch: Any, make: Any) -> None:
    ours, theirs = make(distrt.nn), make(torch.nn)
    assert str(ours) == str(theirs)
    theirs.load_state_dict({name: torch.from_numpy(each.numpy()) for name, each in ours.state_dict().items()})
    words = np.random.default_rng(0).integers(0, 1000, (16, 24))
    labels = np.arange(16) % 3
    gradients = []
    for library, model in ((distrt, ours.eval()), (torch, theirs.eval())):
        out = model(library.from_numpy(words))
        library.nn.functional.cross_entropy(out, library.from_numpy(labels)).backward()
        gradients.append({name: each.grad.numpy() for name, each in model.named_parameters()})
        gradients[-1]["output"] = out.detach().numpy()
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[1].items():
        np.testing.assert_allclose(gradients[0][name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
