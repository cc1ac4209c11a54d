import torch
import torch.nn as nn
import torch.nn.functional as F

class TextClassifier(nn.Module):
    """
    text
    text
    """

    def __init__(self, vocab_size, embedding_dim, hidden_dim, num_classes):
        """
        text

        text:
        - vocab_size: text
        - embedding_dim: text
        - hidden_dim: text
        - num_classes: text
        """
        super(TextClassifier, self).__init__()

        self.embedding = nn.Embedding(vocab_size, embedding_dim)

        self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)

        self.fc = nn.Linear(hidden_dim, num_classes)

        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        """
        text

        text:
        - x: text

        text:
        - text
        """

        embedded = self.embedding(x)  # [batch_size, seq_len, embedding_dim]

        lstm_out, (hidden, cell) = self.lstm(embedded)

        last_hidden = hidden[-1]  # [batch_size, hidden_dim]

        # 4. Dropout
        dropped = self.dropout(last_hidden)

        output = self.fc(dropped)  # [batch_size, num_classes]

        return output

model = TextClassifier(
    vocab_size=10000,
    embedding_dim=100,
    hidden_dim=128,
    num_classes=3
)

print("text:")
print(model)
