# Load data
x, y = load_data()

# Initialize model, criterion, and optimizer
model = LinearRegressionModel(1, 1)
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.01)

# Train model
for epoch in range(100):
   loss = train(model, criterion, optimizer, x, y)

# Test model
test(model, x, y)
