"""Lines of the table of layers: embeddings.

The first call of each names no row whose gradient, as padding or by frequency, is not the derivative.
"""

from tests.oracle.layer_table import errors, layers

NUMBERS = ("i(5, 2, 3)", "i(7, 4)", "i(7)", "i(1, 0, 2)", "i(7, 2, 40)", "i(7, 3).int()")
layers(
    NUMBERS,
    "Embedding(7, 3)",
    "Embedding(num_embeddings=7, embedding_dim=1)",
    "Embedding(7, 3, padding_idx=6)",
    "Embedding(7, 3, -1)",
    "Embedding(7, 3, 5, norm_type=1.0, _weight=t.ones(7, 3))",
    "Embedding.from_pretrained(t.ones(7, 2), freeze=False)",
    "Embedding.from_pretrained(t.ones(7, 2), padding_idx=0)",
)
layers(("t.arange(5)", "i(7, 2, 40)"), "Embedding(7, 3, 6, scale_grad_by_freq=True)", second_order=False)
layers(
    (
        "i(5, 2, 3)",
        "i(7, 4, 20)",
        "i(7, 5), t.tensor([0, 2, 2, 5])",
        "i(5, 4), t.tensor([0, 1], dtype=t.int64)",
    ),
    "EmbeddingBag(7, 3)",
    "EmbeddingBag(7, 3, mode='sum')",
    "EmbeddingBag(7, 3, mode='max')",
    "EmbeddingBag(7, 3, padding_idx=6)",
    "EmbeddingBag(7, 3, mode='sum', padding_idx=-1)",
    "EmbeddingBag(7, 3, mode='max', padding_idx=6)",
    "EmbeddingBag.from_pretrained(t.ones(7, 2), freeze=False, mode='sum')",
    second_order=False,
)
layers(
    ("i(5, 2, 3), None, f(2, 3)", "i(7, 6), t.tensor([0, 2, 2]), f(6)"),
    "EmbeddingBag(7, 3, mode='sum')",
    "EmbeddingBag(7, 3, mode='sum', padding_idx=6)",
    second_order=False,
)
layers(
    ("i(5, 6), t.tensor([0, 2, 2, 6])", "i(7, 6), t.tensor([0, 1, 6])"),
    "EmbeddingBag(7, 3, include_last_offset=True)",
    "EmbeddingBag(7, 3, mode='max', include_last_offset=True)",
    second_order=False,
)
layers(  # PyTorch divides by another row's frequency where they differ
    ("t.arange(6).view(2, 3)", "t.arange(7).repeat(3).view(3, 7)"),
    "EmbeddingBag(7, 3, scale_grad_by_freq=True)",
    "EmbeddingBag(7, 3, scale_grad_by_freq=True, mode='sum', padding_idx=6)",
    second_order=False,
)

errors(
    "nn.Embedding(3, 2)(t.tensor([3]))",
    "nn.Embedding(3, 2)(t.tensor([-1]))",
    "nn.Embedding(3, 2)(t.tensor([1.0]))",
    "nn.Embedding(3, 2)(t.tensor([True]))",
    "nn.Embedding(3, 2)([1])",
    "nn.Embedding(3, 2, max_norm=1.0)(t.tensor([7]))",
    "nn.Embedding(3, 2, padding_idx=3)",
    "nn.Embedding(3, 2, padding_idx=-4)",
    "nn.Embedding(3, 2, _weight=t.ones(2, 2))",
    "nn.Embedding.from_pretrained(t.ones(2))",
    "nn.EmbeddingBag(3, 2, padding_idx=3)",
    "nn.EmbeddingBag.from_pretrained(t.ones(2))",
    "nn.EmbeddingBag(3, 2, mode='min')(t.tensor([[1]]))",
    "F.embedding(t.tensor([1]), t.ones(3))",
    "F.embedding(t.tensor([1]), t.ones(3, 2), padding_idx=3)",
    *(
        f"F.embedding_bag(t.tensor([0, 1, 1, 3, 2]), t.ones(4, 3), {options})"
        for options in (
            "offsets=None",
            "offsets=t.tensor([1, 2])",
            "offsets=t.tensor([0, 7])",
            "offsets=t.tensor([[0, 2]])",
            "offsets=t.tensor([0.0, 2.0])",
            "offsets=t.tensor([], dtype=t.int64), include_last_offset=True",
            "offsets=t.tensor([0]), mode='max', sparse=True",
            "offsets=t.tensor([0]), mode='max', scale_grad_by_freq=True",
            "offsets=t.tensor([0]), per_sample_weights=t.ones(5)",
            "offsets=t.tensor([0]), mode='sum', per_sample_weights=t.ones(4)",
            "offsets=t.tensor([0]), mode='sum', per_sample_weights=t.ones(5, dtype=t.float64)",
            "offsets=t.tensor([0, 2]), padding_idx=4",
            "offsets=t.tensor([0, 2]), padding_idx=-5",
        )
    ),
    "F.embedding_bag(t.tensor([[0, 4]]), t.ones(4, 3), mode='max')",
    "F.embedding_bag(t.tensor([[0, -1]]), t.ones(4, 3), mode='max')",
    "F.embedding_bag(t.tensor([[0.0, 1.0]]), t.ones(4, 3))",
    "F.embedding_bag(t.zeros(2, 0, dtype=t.int64), t.ones(4, 3))",
    "F.embedding_bag(t.tensor(1), t.ones(4, 3))",
    "F.embedding_bag(t.tensor([[1]]), t.ones(4))",
    "F.embedding_bag(t.tensor([[1]]), t.ones(4, 3), t.tensor([0]))",
    "F.embedding_bag(t.tensor([[1]]), t.ones(4, 3, dtype=t.int64))",
)
