import torch
import torch.nn as nn

class TextClassifier(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_heads, num_layers,
                 num_classes, max_len=512, dropout=0.1):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.pos_embedding = nn.Embedding(max_len, embed_dim)

        encoder_layer = nn.TransformerEncoderLayer(
            d_model=embed_dim,
            nhead=num_heads,
            dim_feedforward=embed_dim*4,
            dropout=dropout,
            batch_first=True
        )
        self.transformer = nn.TransformerEncoder(encoder_layer, num_layers)

        self.classifier = nn.Sequential(
            nn.Linear(embed_dim, embed_dim // 2),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(embed_dim // 2, num_classes)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        seq_len = x.size(1)
        positions = torch.arange(seq_len, device=x.device).unsqueeze(0)

        x = self.embedding(x) + self.pos_embedding(positions)
        x = self.dropout(x)

        if mask is not None:

            padding_mask = (mask == 0)
        else:
            padding_mask = None

        x = self.transformer(x, src_key_padding_mask=padding_mask)

        x = x.mean(dim=1)

        return self.classifier(x)

model = TextClassifier(
    vocab_size=30000,
    embed_dim=256,
    num_heads=8,
    num_layers=4,
    num_classes=10
)

batch_size = 16
seq_len = 128
input_ids = torch.randint(0, 30000, (batch_size, seq_len))
attention_mask = torch.ones(batch_size, seq_len)

output = model(input_ids, attention_mask)
print(output.shape)  # torch.Size([16, 10])
