def debug_shapes(model, input_shape):
    """text"""
    x = torch.randn(*input_shape)
    for name, layer in model.named_children():
        x = layer(x)
        print(f"{name}: {x.shape}")

def check_gradients(model):
    """text"""
    for name, param in model.named_parameters():
        if param.grad is not None:
            grad_norm = param.grad.norm().item()
            if grad_norm == 0:
                print(f"Warning: {name} text")
            elif grad_norm > 1000:
                print(f"Warning: {name} text: {grad_norm}")
            elif torch.isnan(param.grad).any():
                print(f"Error: {name} textNaN")

torch.autograd.set_detect_anomaly(True)

def memory_stats():
    if torch.cuda.is_available():
        print(f"text: {torch.cuda.memory_allocated()/1024**2:.2f} MB")
        print(f"text: {torch.cuda.max_memory_allocated()/1024**2:.2f} MB")
        print(f"text: {torch.cuda.memory_reserved()/1024**2:.2f} MB")

with torch.profiler.profile(
    activities=[
        torch.profiler.ProfilerActivity.CPU,
        torch.profiler.ProfilerActivity.CUDA,
    ],
    record_shapes=True,
    profile_memory=True,
) as prof:
    model(input)

print(prof.key_averages().table(sort_by="cuda_time_total", row_limit=10))
