"""Lines of the table of layers: containers that can be called."""

from tests.oracle.layer_table import errors, layers

layers(
    "5x3 2x4x3",
    "Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 4))",
    "Sequential(OrderedDict(first=nn.Linear(3, 2), second=nn.Sequential(nn.Tanh(), nn.Linear(2, 1))))",
    "Sequential(nn.Linear(3, 3), nn.Tanh())[:1]",
    "Sequential(nn.Linear(3, 3), nn.Tanh()) + nn.Sequential(nn.Linear(3, 1))",
    "Sequential(nn.Linear(3, 3), nn.Tanh()) * 2",
    "Sequential(nn.Tanh()).append(nn.Linear(3, 2)).insert(0, nn.Linear(3, 3)).extend([nn.Sigmoid()])",
    "ModuleList([nn.Linear(3, 2), nn.Tanh()])[0]",
    "ModuleDict({'a': nn.Linear(3, 2)})['a']",
)
errors(
    "nn.Sequential(nn.Linear(3, 2))[5]",
    "nn.Sequential(nn.Linear(3, 2)) + 3",
    "nn.Sequential(nn.Linear(3, 2)) * 0",
    "nn.Sequential(3)",
    "nn.ModuleList([nn.Linear(3, 2)])[-2]",
    "nn.ModuleList(3)",
    "nn.ModuleList([nn.Linear(3, 2)])(t.ones(3))",
    "nn.ModuleDict({'a': nn.Linear(3, 2)})['b']",
    "nn.ModuleDict(3)",
    "nn.ParameterList([t.ones(2)])[1]",
    "nn.ParameterList(3)",
    "nn.ParameterDict({'a': t.ones(2)})['b']",
    "nn.ParameterDict(3)",
    "nn.Module()(3)",
    "nn.LazyLinear(3)(t.ones(3, 4)).view(7)",
    "nn.LazyConv2d(3, 3)(t.ones(3, 4))",
)
