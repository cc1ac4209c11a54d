"""Operations on tensors that lie on several ranks: a table of cases, each one expression.

A case is ``expression | name shape placements | ...``: ``S0`` is ``Shard(0)``, ``R`` is ``Replicate()``, ``P`` is
``Partial()`` with a summand that differs from rank to rank. On a mesh of two dims placements stand as ``S0,R``. A name
that begins with ``i`` has integers. ``!`` before a case says that PyTorch chooses other placements, computes something
else than of plain tensors, or refuses: then values alone are compared, with those of plain tensors.
"""

ONE_DIM = """
x + y | x 4,8 S0 | y 4,8 S0
x + y | x 4,8 S0 | y 4,8 R
x + y | x 4,8 R | y 4,8 S1
x + y | x 4,8 S0 | y 8 R
x + y | x 4,8 S1 | y 8 R
x + y | x 4,8 S1 | y 8 S0
x + y | x 4,8 S0 | y 4,1 S0
x + y | x 4,8 R | y 1,8 R
x + y | x 4,1 S0 | y 1,8 R
x + y | x 4,8 P | y 4,8 P
x + y | x 4,8 P | y 4,8 R
x + 1 | x 4,8 S0
1 + x | x 4,8 S0
x - 2 * x | x 4,8 S0
1 - x | x 4,8 S1
x * 2 | x 4,8 P
2 * x | x 4,8 P
x / 2 | x 4,8 P
x * y | x 4,8 P | y 4,8 R
x * y | x 4,8 S0 | y 4,8 S0
x / y | x 4,8 S0 | y 4,8 S1
-x | x 4,8 S0
-x | x 4,8 P
x ** 2 | x 4,8 S0
x ** 2 | x 4,8 P
2 ** x | x 4,8 S0
x.pow(3) | x 4,8 S1
torch.add(x, y, alpha=2) | x 4,8 S0 | y 4,8 S0
torch.sub(x, y) | x 5,3 S0 | y 5,3 S0
torch.maximum(x, y) | x 4,8 S0 | y 4,8 R
x.abs() | x 4,8 S0
x.exp().log1p().sqrt().sin().cos().tanh().sigmoid() | x 4,8 S0
torch.relu(x) | x 4,8 P
F.relu(x) | x 4,8 S0
F.gelu(x) | x 4,8 S1
F.gelu(x, approximate='tanh') | x 4,8 S1
F.silu(x) | x 5,3 S0
F.softplus(x) | x 4,8 S1
F.leaky_relu(x, 0.1) | x 4,8 S0
F.elu(x) | x 4,8 S0
F.hardtanh(x) | x 4,8 S0
x.clamp(-0.5, 0.5) | x 4,8 S0
x.clamp(min=0) | x 4,8 R
torch.where(x > 0, x, y) | x 4,8 S0 | y 4,8 S0
torch.where(x > 0, x, 0.0) | x 4,8 S1
x.masked_fill(x > 0, 1.5) | x 4,8 S0
x > 0 | x 4,8 S0
x == y | x 4,8 S0 | y 4,8 R
(x > 0) & (x < 1) | x 4,8 S0
(x > 0).logical_not() | x 4,8 S1
torch.lerp(x, y, 0.3) | x 4,8 S0 | y 4,8 S0
torch.addcmul(x, y, y, value=0.5) | x 4,8 S0 | y 4,8 S0
torch.addcdiv(x, y, y.exp(), value=0.5) | x 4,8 S0 | y 4,8 S0
torch.atan2(x, y) | x 4,8 S0 | y 4,8 S0
torch.isnan(x) | x 4,8 S0
x.round() | x 4,8 S0
x.to(torch.float64) | x 4,8 S0
x.double() | x 4,8 P
x.float() | x 4,8 S0
x.bfloat16().float() | x 4,8 S1
x.detach() | x 4,8 S0
x.detach() | x 4,8 P
! x.clone() | x 4,8 P
x.contiguous() | x 4,8 S0
torch.zeros_like(x) | x 4,8 S0
torch.ones_like(x) | x 4,8 S1
torch.full_like(x, 3.0) | x 4,8 S0
torch.empty_like(x).fill_(2.0) | x 4,8 S0
x.new_zeros(3, 2) | x 4,8 R
torch.zeros_like(x) | x 4,8 P
x.sum() | x 4,8 S0
x.sum() | x 4,8 R
x.sum() | x 4,8 P
x.sum(0) | x 4,8 S0
x.sum(dim=1) | x 4,8 S0
x.sum(dim=-1) | x 4,8 S0
x.sum(dim=0) | x 4,8 S1
x.sum((0, 1)) | x 4,8 S1
x.sum(dim=1, keepdim=True) | x 4,8 S0
x.sum(dim=0, keepdim=True) | x 4,8 S0
x.sum(0) | x 5,3 S0
x.sum(1) | x 4,8 P
x.mean() | x 4,8 S0
x.mean(0) | x 4,8 S0
x.mean(1) | x 4,8 S0
x.mean(-1, keepdim=True) | x 4,8 S0
x.mean() | x 5,3 S0
x.max() | x 4,8 S0
x.min() | x 4,8 S1
! x.amax(0) | x 4,8 S0
x.amax(1) | x 4,8 S0
! x.amin(1) | x 4,8 S1
x.prod(1) | x 4,8 S0
x.var(1) | x 4,8 S0
! x.var(0) | x 4,8 S0
x.std(1) | x 4,8 S0
x.max(1).values | x 4,8 S0
x.max(1).indices | x 4,8 S0
! x.max(0).values | x 4,8 S0
x.argmax(1) | x 4,8 S0
! x.argmax(0) | x 4,8 S0
! (x > 0).any() | x 4,8 S0
(x > 0).all(1) | x 4,8 S0
torch.logsumexp(x, 1) | x 4,8 S0
! torch.logsumexp(x, 1) | x 4,8 S1
x.cumsum(1) | x 4,8 S0
! x.cumsum(0) | x 4,8 S0
! x.norm() | x 4,8 S0
! torch.linalg.vector_norm(x) | x 4,8 S0
torch.linalg.vector_norm(x, 2, 1) | x 4,8 S0
x.norm(dim=1) | x 4,8 S0
x @ w | x 4,8 S0 | w 8,12 R
x @ w | x 4,8 R | w 8,12 S1
x @ w | x 4,8 S1 | w 8,12 S0
x @ w | x 4,8 R | w 8,12 R
! x @ w | x 4,8 S0 | w 8,12 S1
! x @ w | x 4,8 S0 | w 8,12 S0
! x @ w | x 4,8 P | w 8,12 S0
! x @ w | x 4,8 P | w 8,12 R
! torch.matmul(x, w) | x 2,4,8 S0 | w 8,12 R
torch.matmul(x, w) | x 2,4,8 R | w 8,12 S1
torch.matmul(x, w) | x 2,4,8 S2 | w 8,12 S0
! torch.matmul(x, w) | x 2,4,8 S1 | w 8,12 R
torch.matmul(x, w) | x 4,3,8 S0 | w 4,8,2 S0
torch.matmul(x, w) | x 4,3,8 R | w 4,8,4 S2
torch.matmul(x, w) | x 4,4,8 S1 | w 4,8,4 R
torch.matmul(x, w) | x 4,4,8 S2 | w 4,8,4 S1
torch.matmul(x, w) | x 4,2,3,8 S0 | w 4,2,8,3 S0
torch.matmul(x, w) | x 2,4,3,8 S1 | w 2,4,8,3 S1
torch.mm(x, w) | x 4,8 S0 | w 8,12 R
torch.bmm(x, w) | x 4,3,8 S0 | w 4,8,2 S0
torch.mv(x, v) | x 4,8 S0 | v 8 R
torch.dot(x, y) | x 8 S0 | y 8 S0
x @ v | x 4,8 S0 | v 8 R
torch.addmm(b, x, w) | b 12 R | x 4,8 S0 | w 8,12 R
torch.addmm(b, x, w) | b 12 S0 | x 4,8 R | w 8,12 S1
! torch.addmm(b, x, w) | b 12 R | x 4,8 S1 | w 8,12 S0
torch.baddbmm(b, x, w) | b 4,3,2 S0 | x 4,3,8 S0 | w 4,8,2 S0
torch.einsum('bij,bjk->bik', x, w) | x 4,3,8 S0 | w 4,8,2 S0
torch.outer(x, y) | x 4 S0 | y 3 R
F.linear(x, w) | x 4,8 S0 | w 12,8 R
F.linear(x, w, b) | x 4,8 S0 | w 12,8 R | b 12 R
F.linear(x, w, b) | x 4,8 R | w 12,8 S0 | b 12 S0
F.linear(x, w) | x 4,8 S1 | w 12,8 S1
! F.linear(x, w, b) | x 4,8 S1 | w 12,8 S1 | b 12 R
F.linear(x, w, b) | x 2,4,8 R | w 12,8 S0 | b 12 S0
! F.linear(x, w, b) | x 2,4,8 S1 | w 12,8 R | b 12 R
F.linear(x, w, b) | x 4,3,8 S0 | w 12,8 R | b 12 R
x.t() | x 4,8 S0
x.T | x 4,8 S1
x.mT | x 4,8 S1
x.transpose(0, 1) | x 4,8 S0
x.transpose(-1, -2) | x 2,4,8 S1
x.permute(2, 0, 1) | x 2,4,8 S1
x.movedim(0, -1) | x 4,2,3 S0
x.swapaxes(0, 1) | x 4,8 P
x.unsqueeze(0) | x 4,6 S0
x.unsqueeze(-1) | x 4,6 S0
x[None] | x 4,8 S0
x.squeeze() | x 4,1,6 S2
x.squeeze(0) | x 1,4,6 S1
x.squeeze(1) | x 4,1 S0
x.expand(3, 4, 6) | x 4,6 S0
x.expand(4, 6) | x 4,1 S0
x.expand(-1, 6) | x 4,1 R
x.broadcast_to(2, 4, 6) | x 4,6 S1
x.reshape(4, 6) | x 4,2,3 S0
x.reshape(4, 2, 3) | x 4,6 S0
! x.reshape(2, 4, 3) | x 8,3 S0
x.view(8, 6) | x 8,2,3 S0
x.view(8, -1) | x 8,2,3 S0
x.view(2, 4, 6) | x 2,4,6 R
x.view(4, 2, 2) | x 4,4 S0
x.view(4, 8, 2) | x 4,16 S1
x.flatten() | x 4,6 S0
x.flatten(1) | x 4,2,3 S0
x.flatten(0, 1) | x 4,2,3 S0
x.unflatten(0, (4, 2)) | x 8,3 S0
x.unflatten(1, (4, 2)) | x 3,8 S1
x.reshape(24) | x 4,6 R
! x.reshape(24) | x 4,6 S1
x.reshape(2, 12) | x 2,4,3 P
x[0] | x 4,8 S1
! x[0] | x 4,8 S0
x[:, 1:3] | x 4,8 S0
x[..., 2] | x 4,8 S0
x[:, None] | x 4,8 S0
! x[1:3] | x 4,8 S0
x[:] | x 4,8 S0
x.select(1, 2) | x 4,8 S0
x.narrow(1, 2, 3) | x 4,8 S0
! x[i] | x 4,8 R | i 5 R
x[:, i] | x 4,3 S0 | i 5 R
x.gather(1, i) | x 4,8 S0 | i 4,2 S0
! x.gather(0, i) | x 4,8 S0 | i 4,2 R
x.index_select(1, i) | x 4,3 S0 | i 3 R
! x.index_select(0, i) | x 4,8 S0 | i 3 R
x.flip(1) | x 4,8 S0
! x.flip(0) | x 4,8 S0
x.tril() | x 4,8 R
! x.tril() | x 4,8 S0
! x.tril() | x 4,3,3 S0
x.repeat(1, 2) | x 4,8 R
! x.repeat(2, 1) | x 4,8 S0
! x.roll(1, 0) | x 4,8 S0
x.roll(1, 1) | x 4,8 S0
F.pad(x, (1, 1)) | x 4,8 S0
torch.cat([x, y], 1) | x 4,8 S0 | y 4,2 S0
torch.cat([x, y], 0) | x 4,8 S1 | y 2,8 S1
! torch.cat([x, y], 0) | x 4,8 S0 | y 4,8 S0
! torch.cat([x, y], 1) | x 4,8 S0 | y 4,2 R
torch.stack([x, y]) | x 4,8 S0 | y 4,8 S0
torch.stack([x, y], 1) | x 4,8 S0 | y 4,8 S0
torch.stack([x, y], -1) | x 4,8 P | y 4,8 P
x.chunk(2, 1)[1] | x 4,8 S0
! x.chunk(2, 0)[1] | x 4,8 S0
x.split(2, 1)[2] | x 4,8 S0
x.split([2, 6], dim=1)[1] | x 4,8 S0
torch.split(x, 2, dim=0)[1] | x 4,8 S1
x.unbind(1)[0] | x 4,8 S0
! x.unbind(0)[0] | x 4,8 S0
x.tensor_split(2, 1)[0] | x 4,8 S0
x.softmax(1) | x 4,8 S0
F.softmax(x, dim=-1) | x 4,8 S0
! F.softmax(x, dim=-1) | x 4,8 S1
! F.softmax(x, dim=-1) | x 4,8 P
F.log_softmax(x, dim=-1) | x 4,8 S0
! F.log_softmax(x, 1) | x 4,8 S1
F.layer_norm(x, (8,)) | x 4,8 S0
F.layer_norm(x, (8,), w, b) | x 4,8 S0 | w 8 R | b 8 R
F.layer_norm(x, (8,), w, b) | x 2,4,8 S1 | w 8 R | b 8 R
! F.layer_norm(x, (8,), w, b) | x 4,8 S1 | w 8 R | b 8 R
F.rms_norm(x, (8,), w) | x 4,8 S0 | w 8 R
F.rms_norm(x, (8,), w) | x 2,4,8 S1 | w 8 R
F.normalize(x, dim=1) | x 4,8 S0
! F.group_norm(x, 2, w, b) | x 4,8,3 S0 | w 8 R | b 8 R
F.cross_entropy(x, i) | x 4,8 R | i 4 R
! F.cross_entropy(x, i) | x 4,8 S0 | i 4 S0
F.cross_entropy(x, i, reduction='none') | x 4,8 S0 | i 4 S0
! F.cross_entropy(x, i, reduction='sum') | x 4,8 S0 | i 4 S0
! F.cross_entropy(x, i) | x 5,3 S0 | i 5 S0
! F.nll_loss(F.log_softmax(x, 1), i) | x 4,8 S0 | i 4 S0
! F.mse_loss(x, y) | x 4,8 S0 | y 4,8 S0
F.mse_loss(x, y, reduction='none') | x 4,8 S0 | y 4,8 S0
F.mse_loss(x, y, reduction='sum') | x 4,8 S0 | y 4,8 S0
F.l1_loss(x, y) | x 4,8 S0 | y 4,8 S0
F.binary_cross_entropy_with_logits(x, y) | x 4,8 S0 | y 4,8 S0
F.embedding(i, w) | i 4,3 S0 | w 8,12 R
F.embedding(i, w) | i 4,3 R | w 8,12 S1
F.embedding(i, w) | i 4,3 R | w 8,12 R
! F.embedding(i, w) | i 4,3 R | w 12,8 S0
F.dropout(x, 0.5, training=False) | x 4,8 S0
F.dropout(x, 0.0) | x 4,8 S0
F.one_hot(i, 6) | i 4 R
! x.sort(1).values | x 4,8 S0
! x.topk(2, 1).values | x 4,8 S0
! torch.topk(x, 2, 0).values | x 4,8 S0
! F.conv2d(x, w) | x 4,2,5,5 R | w 3,2,3,3 R
! torch.linalg.inv(x @ x.T + torch.ones_like(x @ x.T)) | x 3,8 R
torch.diag_embed(x) | x 3,4 R
torch.kron(x, y) | x 2,2 R | y 2,2 R
torch.equal(x, y) | x 4,8 S0 | y 4,8 S0
! torch.allclose(x, y) | x 4,8 S0 | y 4,8 S0
! x.sum().item() | x 4,8 S0
x.shape, x.ndim, x.numel(), len(x), x.size(0), x.dim(), x.stride(), x.is_contiguous() | x 4,8 S0
! float(x.sum()) > 0 | x 4,8 S1
bool((x > 100).any()) | x 4,8 S1
x.is_floating_point(), x.element_size(), x.dtype == torch.float64 | x 4,8 S0""".strip().splitlines()

IN_PLACE = """
x.add_(1) | x 4,6 S0
x.add_(y) | x 4,6 S0 | y 4,6 S0
x.add_(y) | x 4,6 S0 | y 4,6 R
x.add_(y) | x 4,6 R | y 4,6 S0
x.mul_(y) | x 4,6 S0 | y 6 R
x.sub_(y, alpha=2) | x 4,6 S0 | y 4,6 S1
x.zero_() | x 4,6 S0
x.fill_(2.0) | x 4,6 S0
x.copy_(y) | x 4,6 S0 | y 4,6 S0
x.copy_(y) | x 4,6 S0 | y 4,6 R
x.clamp_(-0.5, 0.5) | x 4,6 S1
x.relu_() | x 4,6 S0
x.exp_() | x 4,6 S0
x.masked_fill_(y > 0, 7.0) | x 4,6 S0 | y 4,6 S0
x.addcmul_(y, y) | x 4,6 S0 | y 4,6 S0
x.lerp_(y, 0.5) | x 4,6 S0 | y 4,6 S0
x.pow_(2) | x 4,6 S0
x.neg_() | x 4,6 P
x.mul_(2) | x 4,6 P
x.__iadd__(y) | x 4,6 S0 | y 4,6 S0
""".strip().splitlines()

ERRORS = """
x + t | x 4,6 S0
t + x | x 4,6 S0
torch.add(x, t) | x 4,6 R
x @ t.T | x 4,6 S0
F.linear(x, t) | x 4,6 S0
torch.cat([x, t]) | x 4,6 S0
x.add_(t) | x 4,6 S0
x + s | x 4,6 S0
x * s | x 4,6 S1
x + y | x 4,6 S0 | y 4,5 S0
x @ y | x 4,6 S0 | y 4,6 S0
x.view(5, 5) | x 4,6 S0
torch.cat([x, y], 0) | x 4,6 S0 | y 4,5 R
x.redistribute(placements=[Partial()]) | x 4,6 S0
x.redistribute() | x 4,6 S0
distribute_tensor(t, mesh, [Shard(0), Shard(0)]) | x 4,6 S0
x.numpy() | x 4,6 S0
x.tolist() | x 4,6 S0
x.as_strided((2,), (1,)) | x 4,6 S0
x.set_(t) | x 4,6 S0
""".strip().splitlines()

TWO_DIMS = """
x + y | x 4,6 S0,S1 | y 4,6 S0,S1
x + y | x 4,6 S0,R | y 4,6 R,S1
x + y | x 4,6 S0,S1 | y 6 R,S0
x * 2 | x 4,6 S0,S0
x * y | x 8,6 S0,S0 | y 8,6 R,R
x.sum() | x 4,6 S0,S1
x.sum() | x 4,6 S0,S0
x.sum(0) | x 4,6 S0,S1
x.sum(1) | x 4,6 S0,S1
x.sum(1) | x 5,3 S0,S0
x.mean() | x 4,6 S0,S1
x @ w | x 4,6 S0,R | w 6,8 R,S1
x @ w | x 4,6 S0,S1 | w 6,8 R,S0
x @ w | x 4,6 S0,R | w 6,8 R,R
x @ w | x 4,6 R,R | w 6,8 R,S1
! x @ w | x 4,6 S0,S1 | w 6,8 S0,S1
F.linear(x, w, b) | x 4,6 S0,R | w 8,6 R,S0 | b 8 R,S0
! F.linear(x, w, b) | x 4,6 S0,S1 | w 8,6 R,S1 | b 8 R,R
F.linear(F.relu(F.linear(x, w)), v) | x 4,6 S0,R | w 8,6 R,S0 | v 6,8 R,S1
x.t() | x 4,6 S0,S1
x.transpose(0, 1) | x 4,6 S0,S0
x.unsqueeze(0) | x 4,6 S1,S0
x.softmax(1) | x 4,6 S0,R
! x.softmax(1) | x 4,6 S0,S1
F.layer_norm(x, (6,), w, b) | x 4,6 S0,R | w 6 R,R | b 6 R,R
! F.layer_norm(x, (6,), w, b) | x 4,6 S0,S1 | w 6 R,R | b 6 R,R
torch.cat([x, y], 1) | x 4,6 S0,R | y 4,2 S0,R
x.view(4, 2, 3) | x 4,6 S0,S0
x.view(4, 2, 3) | x 4,6 S0,S1
F.embedding(i, w) | i 4,3 S0,R | w 6,8 R,S1
! F.embedding(i, w) | i 4,3 S0,R | w 6,8 R,S0
! x.norm() | x 4,6 S0,S1
! x.amax(1) | x 4,6 S0,S1
! F.cross_entropy(x, i) | x 4,6 S0,R | i 4 S0,R
lying(x, Shard(1), Shard(0)) | x 4,6 S0,S1
lying(x, Replicate(), Shard(0)) | x 4,6 S0,S0
lying(x, Shard(0), Shard(0)) | x 8,6 S1,P
lying(x, Shard(0), Shard(0)) | x 8,6 R,R
lying(x, Replicate(), Replicate()) | x 5,3 S0,S0
lying(x, Shard(0), Replicate()) | x 5,3 S0,S0
lying(x, Replicate(), Shard(1)) | x 5,3 P,S0
lying(x, Shard(0), Shard(1)) | x 5,3 P,P
""".strip().splitlines()

#: Parts of several sizes, and empty ones: PyTorch hangs at some of these.
UNEVEN = """
x + y | x 5,3 S0 | y 5,3 R
x.sum(0) | x 5,3 S0
x.sum(1) | x 5,3 S0
x.mean(0) | x 5,3 S0
x.max() | x 5,3 S0
x.min() | x 3,2 S1
x.amax(0) | x 5,3 S0
x.amin(1) | x 5,3 S1
x.norm() | x 3,5 S0
x @ w | x 5,3 S0 | w 3,5 R
x @ w | x 5,3 S1 | w 3,5 S0
x @ w | x 5,3 R | w 3,5 S1
F.linear(x, w) | x 5,3 S1 | w 7,3 S1
F.linear(x, w, b) | x 5,3 R | w 7,3 S0 | b 7 S0
x.softmax(1) | x 5,3 S0
x.softmax(0) | x 5,3 S0
x.t() | x 5,3 S0
x.view(5, 3, 1) | x 5,3 S0
x.view(15) | x 5,3 S0
x.view(5, 2, 3) | x 5,6 S1
x.view(10, 3) | x 5,2,3 S0
x.flatten() | x 5,3 S1
x.squeeze() | x 5,1 S0
x.squeeze() | x 1,5 S0
x.unsqueeze(1) | x 5,3 S1
x.expand(2, 5, 3) | x 1,5,3 S0
x.expand(2, 5, 3) | x 5,3 S1
x[1:] | x 5,3 S0
x[:, 1] | x 5,3 S0
torch.cat([x, y]) | x 5,3 S0 | y 2,3 S1
torch.cat([x, y], 1) | x 5,3 S0 | y 5,2 R
F.layer_norm(x, (3,), w, b) | x 5,3 S0 | w 3 R | b 3 R
F.cross_entropy(x, i) | x 5,3 S0 | i 5 S0
F.cross_entropy(x, i, ignore_index=1) | x 5,3 S0 | i 5 S0
F.cross_entropy(x, i, w.detach().exp()) | x 5,3 S0 | i 5 S0 | w 3 R
F.cross_entropy(x, i, label_smoothing=0.1) | x 5,3 S0 | i 5 S0
F.mse_loss(x, y) | x 5,3 S0 | y 5,3 S0
F.embedding(i, w) | i 5 S0 | w 3,5 R
F.embedding(i, w) | i 5 R | w 3,5 S1
F.one_hot(i, 3) | i 5 S0
lying(x, Shard(1)) | x 5,3 S0
lying(x, Shard(1)) | x 5,3 P
x.nonzero() | x 5,3 S0
x[x > 0] | x 5,3 S0
torch.masked_select(x, x > 0) | x 5,3 S0
x.unfold(1, 2, 1) | x 5,3 S0
F.scaled_dot_product_attention(x, y, y) | x 4,2,3,8 S0 | y 4,2,3,8 S0
F.scaled_dot_product_attention(x, y, y, is_causal=True) | x 2,4,3,8 S1 | y 2,4,3,8 S1
torch.cdist(x, y) | x 5,3 S0 | y 2,3 R
x.median() | x 5,3 S0
x.quantile(0.5) | x 5,3 S0
x.T @ x | x 5,3 S0
torch.linalg.svdvals(x) | x 5,3 S0
F.batch_norm(x, None, None, training=True) | x 5,3 S0
F.interpolate(x, scale_factor=2) | x 5,3,4 S0
F.conv1d(x, w, b) | x 5,3,4 S0 | w 2,3,3 R | b 2 R
F.max_pool1d(x, 2) | x 5,3,4 S0
F.pad(x, (1, 1)) | x 5,3 S1
""".strip().splitlines()

UNEVEN_IN_PLACE = """
x.add_(y) | x 5,3 S0 | y 3 R
x.mul_(y) | x 5,3 S1 | y 5,3 S0
x.copy_(y) | x 5,3 S1 | y 5,3 S0
x.copy_(y) | x 5,3 S1 | y 3 R
x.relu_() | x 5,3 P
F.relu(x, inplace=True) | x 5,3 S0
x.index_fill_(0, i, 7.0) | x 5,3 S0 | i 2 R
x.tril_() | x 5,3 S0
x.cumsum_(0) | x 5,3 S0
x.__setitem__((slice(1, 3), 0), 5.0) | x 5,3 S0
x.__setitem__(0, y) | x 5,3 S0 | y 3 R
x.fill_diagonal_(3.0) | x 5,3 S0
x.zero_() | x 5,3 P
x.fill_(3.0) | x 5,3 P
x.scatter_(1, i, 4.0) | x 5,3 S0 | i 5,1 S0
torch.add(x, x, out=x) | x 5,3 S0
""".strip().splitlines()


#: Ways in which arguments are given, along each dim of ``x 5,4``.
FORMS = """
x.max(dim=0).values
x.max(1, True).indices
x.min(dim=-1, keepdim=True).values
torch.max(x, x * 2)
torch.std(x, 0, True)
x.var((0, 1), keepdim=True)
x.var(0, unbiased=False)
x.std(unbiased=False)
torch.var_mean(x, 1)[0]
x.norm(2, 1)
x.norm(p='fro', dim=1, keepdim=True)
x.norm(1)
x.norm(float('inf'))
torch.linalg.vector_norm(x, ord=3, dim=(0,), keepdim=True)
torch.linalg.norm(x)
x.all(1, True)
x.any(dim=0)
x.topk(k=2, dim=1).values
x.topk(2).indices
x.sort(dim=1, descending=True).values
x.sort(descending=True).values
x.argsort(0)
x.cumsum(dim=1)
x.cumsum(axis=0)
x.transpose(dim0=0, dim1=1)
x.permute(dims=(1, 0))
x.permute([1, 0])
x.movedim((0, 1), (1, 0))
x.flip([1])
x.flip(dims=(0, 1))
x.roll(shifts=1, dims=1)
x.roll(2)
torch.chunk(input=x, chunks=2, dim=1)
x.chunk(2)
x.squeeze((0,))
x.unsqueeze(dim=-2)
x.sum(axis=1, keepdims=True)
x.sum(dim=(-1,), dtype=torch.float32)
x.mean(dim=1, keepdim=True)
x.mean((0,))
x.prod(dim=0)
x.logsumexp(dim=(0, 1))
x.softmax(dim=0)
F.log_softmax(input=x, dim=0)
F.normalize(x)
F.normalize(x, p=1.0, dim=0)
F.layer_norm(input=x, normalized_shape=[4])
F.layer_norm(x, x.shape)
x.clamp(min=x * 0.5)
torch.clamp(input=x, max=0.1)
torch.where(condition=x > 0, input=x, other=-x)
torch.where(x > 0)[0]
x.masked_fill(mask=x > 0, value=0.0)
x[0, 1]
x[-1]
x[:, -2:]
x[::2, 1::2]
x[..., None]
x[None, :, 0]
x[[0, 2]]
x[:, [0, 2]]
x[0, [0, 2]]
x[(x > 0).any(1)]
x.narrow(dim=1, start=0, length=2)
x.select(dim=0, index=1)
x.take_along_dim(x.argsort(1), dim=1)
x.unbind(dim=1)[1]
x.tensor_split((1, 3), dim=1)[1]
torch.stack(tensors=(x, x), dim=1)
torch.cat(tensors=(x, x), dim=-1)
torch.hstack([x, x])
torch.vstack((x, x))
x.view(torch.int64)
x.view(size=(-1,))
x.view(-1, 2, 2)
x.reshape(2, -1)
x.unflatten(dim=1, sizes=(2, 2))
x.expand(size=(2, -1, -1))
x.repeat(2, 1)
x.tile(2)
x.repeat_interleave(2, dim=0)
x.tril(diagonal=1)
x.diagonal()
x.diff(dim=1)
x.T.contiguous()
x.reshape_as(x.view(2, -1))
x.new_full((2,), 3.0)
x.addmm(x.T.T, x.T @ x)
torch.addmm(x, x, x.T @ x, beta=0.5, alpha=2)
torch.einsum('ij,kj->ik', x, x)
torch.einsum('ij->j', x)
torch.einsum('...j,j->...', x, x[0])
torch.tensordot(x, x, dims=2)
x.inner(x)
x.lerp(x * 2, weight=0.5)
x.div(3, rounding_mode='floor')
x % 0.3
x.add(x, alpha=3)
1 / (x * x + 1)
x.type(torch.float32)
x.to(dtype=torch.float32, copy=True)
x.float() @ x.float().T
x.int()
x.bool()
x.count_nonzero()
x.quantile(0.25, dim=1)
x.aminmax(dim=1).max
x.unique()
x.histc(4)
x.logical_and(x > 0)
torch.isin(x, x[0])
F.gelu(input=x)
F.leaky_relu(x, negative_slope=0.2)
F.glu(x)
F.pad(x, [1, 0, 0, 1], value=2.0)
F.smooth_l1_loss(x, x * 2, reduction='sum')
F.huber_loss(x, x * 2)
F.kl_div(x, x.exp(), reduction='batchmean')
F.cosine_similarity(x, x * 2, dim=1)
F.pairwise_distance(x, x * 2)
F.one_hot((x > 0).long(), 2)
F.mse_loss(x, x * 2, None, None, 'none')
F.threshold(x, 0.1, 0.0)
F.dropout(x, training=False)
torch.nn.functional.linear(x, x)
torch.meshgrid(x[0], x[:, 0], indexing='ij')[0]
torch.broadcast_tensors(x, x[0])[1]
torch.trapezoid(x, dim=1)
torch.cov(x)
torch.cross(x[:, :3], x[:, 1:], dim=1)
torch.linalg.matrix_norm(x)
torch.linalg.qr(x)[1].abs()
torch.fft.rfft(x).abs()
torch.special.expit(x)
torch.special.softmax(x, 1)
sum(x.unbind(0))
abs(x)
x.__rsub__(2)
torch.rsub(x, 1.0)
torch.atleast_3d(x)
torch.nan_to_num(x, nan=0.0)
torch.polygamma(1, x.abs() + 1)
x.pow(x.abs())
torch.float_power(x.abs(), 2)
torch.bucketize(x, x[0].sort().values)
torch.searchsorted(x.sort(1).values, x)
x.scatter_add(1, x.argsort(1), x)
""".strip().splitlines()


def groups_for(size):
    """What ``distributed_program.run`` runs with so many ranks: (title, how, shape of the mesh, cases)."""
    if size == 4:
        return [("2 dims", "gradients", (2, 2), TWO_DIMS)]
    return [
        ("1 dim", "gradients", (size,), ONE_DIM),
        ("in place", "changes", (size,), IN_PLACE),
        ("errors", "errors", (size,), ERRORS),
    ]


def uneven_for(size):
    """The same of what is compared with plain tensors only."""
    return [
        ("uneven", "gradients", (size,), UNEVEN),
        ("uneven in place", "changes", (size,), UNEVEN_IN_PLACE),
        *(
            (f"forms {lying}", "gradients", (size,), [f"{each} | x 5,4 {lying}" for each in FORMS])
            for lying in ("S0", "S1", "P")
        ),
    ]
