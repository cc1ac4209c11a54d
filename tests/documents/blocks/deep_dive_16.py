import torch.nn as nn

linear = nn.Linear(in_features=100, out_features=50, bias=True)

conv1d = nn.Conv1d(in_channels=32, out_channels=64, kernel_size=3,
                   stride=1, padding=1)

conv2d = nn.Conv2d(in_channels=3, out_channels=64, kernel_size=3,
                   stride=1, padding=1, bias=True)

conv3d = nn.Conv3d(in_channels=3, out_channels=64, kernel_size=3)

deconv = nn.ConvTranspose2d(64, 32, kernel_size=2, stride=2)

maxpool = nn.MaxPool2d(kernel_size=2, stride=2)
avgpool = nn.AvgPool2d(kernel_size=2, stride=2)
adaptivepool = nn.AdaptiveAvgPool2d(output_size=(1, 1))

batchnorm1d = nn.BatchNorm1d(num_features=100)
batchnorm2d = nn.BatchNorm2d(num_features=64)
layernorm = nn.LayerNorm(normalized_shape=[64, 32, 32])
instancenorm = nn.InstanceNorm2d(num_features=64)
groupnorm = nn.GroupNorm(num_groups=8, num_channels=64)

# ============ Dropout ============
dropout = nn.Dropout(p=0.5)
dropout2d = nn.Dropout2d(p=0.5)

rnn = nn.RNN(input_size=100, hidden_size=256, num_layers=2,
             batch_first=True, bidirectional=True)
lstm = nn.LSTM(input_size=100, hidden_size=256, num_layers=2,
               batch_first=True, bidirectional=True)
gru = nn.GRU(input_size=100, hidden_size=256, num_layers=2,
             batch_first=True)

transformer = nn.Transformer(d_model=512, nhead=8, num_encoder_layers=6,
                             num_decoder_layers=6)
encoder_layer = nn.TransformerEncoderLayer(d_model=512, nhead=8)
encoder = nn.TransformerEncoder(encoder_layer, num_layers=6)

# ============ Embedding ============
embedding = nn.Embedding(num_embeddings=10000, embedding_dim=256)
