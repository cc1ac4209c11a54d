def adaptive_network(x, depth):
    for i in range(depth):
        x = x * 2
    return x
