"""The transformers of PyTorch's tutorials, with either library as ``torch``."""

from __future__ import annotations

import math
from typing import Any


def positional_encoding(torch: Any) -> Any:
    """The positions of the transformer tutorials, for inputs with the length first."""
    nn = torch.nn

    class PositionalEncoding(nn.Module):
        def __init__(self, d_model: int, dropout: float = 0.0, max_len: int = 50) -> None:
            super().__init__()
            self.dropout = nn.Dropout(p=dropout)
            position = torch.arange(max_len).unsqueeze(1)
            div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
            pe = torch.zeros(max_len, 1, d_model)
            pe[:, 0, 0::2] = torch.sin(position * div_term)
            pe[:, 0, 1::2] = torch.cos(position * div_term)
            self.register_buffer("pe", pe)

        def forward(self, x: Any) -> Any:
            return self.dropout(x + self.pe[: x.size(0)])

    return PositionalEncoding


def word_language_model(torch: Any) -> Any:
    """The language model of PyTorch's tutorial on ``nn.TransformerEncoder``."""
    nn = torch.nn

    class TransformerModel(nn.Module):
        def __init__(self, ntoken: int, d_model: int, nhead: int, d_hid: int, nlayers: int) -> None:
            super().__init__()
            self.model_type = "Transformer"
            self.pos_encoder = positional_encoding(torch)(d_model)
            encoder_layers = nn.TransformerEncoderLayer(d_model, nhead, d_hid, 0.0)
            self.transformer_encoder = nn.TransformerEncoder(encoder_layers, nlayers)
            self.embedding = nn.Embedding(ntoken, d_model)
            self.d_model = d_model
            self.linear = nn.Linear(d_model, ntoken)
            self.init_weights()

        def init_weights(self) -> None:
            initrange = 0.1
            self.embedding.weight.data.uniform_(-initrange, initrange)
            self.linear.bias.data.zero_()
            self.linear.weight.data.uniform_(-initrange, initrange)

        def forward(self, src: Any, src_mask: Any = None) -> Any:
            src = self.embedding(src) * math.sqrt(self.d_model)
            src = self.pos_encoder(src)
            if src_mask is None:
                src_mask = nn.Transformer.generate_square_subsequent_mask(len(src)).to(src.device)
            output = self.transformer_encoder(src, src_mask)
            return self.linear(output)

    return TransformerModel


def translator(torch: Any) -> Any:
    """The model of PyTorch's tutorial on translation with ``nn.Transformer``."""
    nn = torch.nn

    class Seq2SeqTransformer(nn.Module):
        def __init__(self, layers: int, emb_size: int, nhead: int, src_vocab: int, tgt_vocab: int) -> None:
            super().__init__()
            self.transformer = nn.Transformer(
                d_model=emb_size,
                nhead=nhead,
                num_encoder_layers=layers,
                num_decoder_layers=layers,
                dim_feedforward=16,
                dropout=0.0,
            )
            self.generator = nn.Linear(emb_size, tgt_vocab)
            self.src_tok_emb = nn.Embedding(src_vocab, emb_size)
            self.tgt_tok_emb = nn.Embedding(tgt_vocab, emb_size)
            self.positional_encoding = positional_encoding(torch)(emb_size)
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.xavier_uniform_(p)

        def forward(self, src: Any, trg: Any, *masks: Any) -> Any:
            src_mask, tgt_mask, src_padding_mask, tgt_padding_mask, memory_key_padding_mask = masks
            src_emb = self.positional_encoding(self.src_tok_emb(src.long()))
            tgt_emb = self.positional_encoding(self.tgt_tok_emb(trg.long()))
            outs = self.transformer(
                src_emb,
                tgt_emb,
                src_mask,
                tgt_mask,
                None,
                src_padding_mask,
                tgt_padding_mask,
                memory_key_padding_mask,
            )
            return self.generator(outs)

    return Seq2SeqTransformer


def translation_masks(torch: Any, src: Any, tgt: Any, pad: int) -> Any:
    """The masks of the tutorial on translation."""
    tgt_seq_len, src_seq_len = tgt.shape[0], src.shape[0]
    tgt_mask = (torch.triu(torch.ones((tgt_seq_len, tgt_seq_len))) == 1).transpose(0, 1)
    tgt_mask = tgt_mask.float().masked_fill(tgt_mask == 0, float("-inf")).masked_fill(tgt_mask == 1, 0.0)
    src_mask = torch.zeros((src_seq_len, src_seq_len)).type(torch.bool)
    src_padding_mask = (src == pad).transpose(0, 1)
    tgt_padding_mask = (tgt == pad).transpose(0, 1)
    return src_mask, tgt_mask, src_padding_mask, tgt_padding_mask, src_padding_mask
