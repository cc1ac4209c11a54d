import torch

class MyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        """
        ctx: text
        """
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        """
        grad_output: text
        """
        input, = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input

x = torch.randn(5, requires_grad=True)
y = MyReLU.apply(x)
y.sum().backward()
print(x.grad)

@torch.no_grad()
def custom_backward_hook(grad):
    """text"""
    return grad * 0.1

x = torch.randn(3, requires_grad=True)
x.register_hook(custom_backward_hook)
y = x ** 2
y.sum().backward()
print(x.grad)
