"""What users do with sharded modules: clip, mix dtypes, replicate, gather by hand, convert; and what is refused."""

import inspect

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import UnsupportedError
from distrt.distributed.fsdp import (
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from distrt.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from tests.parallel.sharded_models import (
    batches,
    data_parallel,
    join,
    loss_of,
    make,
    part_of,
    sharded,
    train,
    values,
)


def equal(found, expected):
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf")])
def test_clipping_takes_the_norm_over_all_ranks(norm_type):
    def run(group):
        join(group)
        found = []
        for model in (sharded("mlp"), data_parallel("mlp", group)):
            loss_of(model, batches("mlp", 1)[0], group).backward()
            total = nn.utils.clip_grad_norm_(model.parameters(), 0.01, norm_type)
            whole = getattr(total, "full_tensor", lambda total=total: total)()
            gradients = [
                getattr(p.grad, "full_tensor", lambda p=p: p.grad)().numpy() for p in model.parameters()
            ]
            found.append((float(whole), float(total), gradients))
        return found

    for (found, as_float, mine), (expected, _, theirs) in run_local(run, 3):
        np.testing.assert_allclose([found, as_float], expected, rtol=1e-12)
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_an_overflow_that_one_rank_has_seen_skips_the_step_on_all():
    def run(group):
        join(group)
        model = sharded("mlp")
        before = values(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        scaler.scale(loss_of(model, batches("mlp", 1)[0], group)).backward()
        if group.rank() == 1:
            model[0].weight.grad.to_local()[0, 0] = float("inf")
        scaler.step(optimizer)
        scaler.update()
        return equal(values(model), before), scaler.get_scale()

    assert run_local(run, 2) == [(True, 2.0)] * 2


def test_mixed_precision_computes_in_one_dtype_and_updates_in_another():
    seen = []

    class Looking(nn.Linear):
        def forward(self, x):
            seen.append((x.dtype, self.weight.dtype))
            return super().forward(x)

    def run(group):
        join(group)
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=torch.float32
        )
        model = fully_shard(Looking(4, 6), mp_policy=policy)
        out = model(torch.ones(2, 4))
        out.sum().backward()
        return out.dtype, model.weight.dtype, model.weight.grad.dtype

    assert run_local(run, 2) == [(torch.float32,) * 3] * 2
    assert set(seen) == {(torch.bfloat16, torch.bfloat16)}


def test_replicas_and_shards_give_the_average_over_all():
    def run(group):
        join(group)
        mesh = torch.distributed.init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard"))
        found = []
        for model in (sharded("mlp", mesh=mesh), data_parallel("mlp", group)):
            train(model, "mlp", group, kind=torch.optim.SGD)
            found.append(values(model))
        return found

    for found, expected in run_local(run, 4):
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)


def test_parameters_may_be_cut_along_another_dim():
    def run(group):
        join(group)
        model = fully_shard(nn.Linear(4, 6), shard_placement_fn=lambda p: Shard(1) if p.ndim == 2 else None)
        model(torch.ones(3, 4)).sum().backward()
        return tuple(model.weight.to_local().shape), model.weight.grad.full_tensor().tolist()

    assert run_local(run, 2) == [((6, 2), [[3.0] * 4] * 6)] * 2


def test_a_method_can_be_registered_as_another_forward():
    class Two(nn.Linear):
        def other(self, x):
            return self(x) * 2

    def run(group):
        join(group)
        model = fully_shard(Two(4, 4))
        register_fsdp_forward_method(model, "other")
        with pytest.raises(ValueError, match="does not have a method nothing"):
            register_fsdp_forward_method(model, "nothing")
        model.other(torch.ones(1, 4)).sum().backward()
        return model.weight.grad.full_tensor().tolist()

    assert run_local(run, 2) == [[[2.0] * 4] * 4] * 2


def test_parameters_can_be_gathered_by_hand():
    def run(group):
        join(group)
        model = fully_shard(make("mlp"))
        part = model[0].weight
        model.unshard()
        whole = model[0].weight.detach().numpy().copy()
        model.reshard()
        handle = model.unshard(async_op=True)
        handle.wait()
        assert type(model[0].weight) is nn.Parameter
        model.reshard()
        assert model[0].weight is part
        return np.array_equal(whole, make("mlp")[0].weight.detach().numpy())

    assert all(run_local(run, 2))


def test_ignored_parameters_are_left_alone():
    def run(group):
        join(group)
        model = make("mlp")
        kept = model[0].weight
        fully_shard(model, ignored_params={kept})
        loss_of(model, batches("mlp", 1)[0], group).backward()
        return model[0].weight is kept and kept.grad is not None

    assert all(run_local(run, 2))


def test_the_model_can_be_converted_and_frozen_afterwards():
    def run(group):
        join(group)
        model = sharded("mlp", torch.float32)
        model[0].requires_grad_(False)
        model.double()
        loss_of(model, batches("mlp", 1)[0], group).backward()
        assert equal(values(model), values(make("mlp", torch.float32).double()))
        return model[0].weight.grad, model[2].weight.grad.dtype

    assert run_local(run, 2) == [(None, torch.float64)] * 2


def test_numbers_about_parameters_are_those_of_the_whole_ones():
    def run(group):
        join(group)
        model = fully_shard(nn.Linear(3, 5).double())
        part, whole = model.weight.detach(), model.weight.full_tensor()
        found = [
            (part.sum(), whole.sum()),
            ((part * 2 - 1).abs().mean(), (whole * 2 - 1).abs().mean()),
            (part.max(), whole.max()),
            (part.min(), whole.min()),
            (part.norm(), whole.norm()),
            (part.norm(1), whole.norm(1)),
            ((part**2).norm(float("inf")), (whole**2).norm(float("inf"))),
        ]
        assert isinstance(part * 2, DTensor)
        assert all(mine.item() == mine.full_tensor().item() for mine, _ in found)
        loss = (model.weight * model.weight).sum()
        loss.backward()
        assert np.array_equal(model.weight.grad._array, part._array * 2)
        return [abs(mine.full_tensor().item() - theirs.item()) < 1e-12 for mine, theirs in found]

    assert run_local(run, 4) == [[True] * 7] * 4  # the last rank has no row


def test_what_is_computed_of_norms_and_sums_is_that_of_the_whole_ones():
    def run(group):
        join(group)
        model, plain = sharded("mlp"), data_parallel("mlp", group)
        for each in (model, plain):
            loss_of(each, batches("mlp", 1)[0], group).backward()
        found = []
        for parameters in (list(model.parameters()), list(plain.parameters())):
            grads = [p.grad for p in parameters]
            by_hand = sum(g.norm() ** 2 for g in grads) ** 0.5
            stacked = torch.stack([g.detach().norm(1) for g in grads]).max()
            decay = 1 - 0.1 * grads[0].abs().max() / grads[0].abs().mean()
            found.append([float(each) for each in (by_hand, stacked, decay, by_hand * 2 + grads[1].sum())])
        norm = model.get_parameter(next(iter(dict(model.named_parameters())))).grad.norm()
        before = str(norm) if group.rank() == 0 else ""  # shows this rank's; no rank waits
        return found, before, norm.shape, float(norm), str(norm.placements), float(norm.full_tensor())

    for (ours, plain), before, shape, number, placed, whole in run_local(run, 3):
        np.testing.assert_allclose(ours, plain, rtol=1e-12)
        assert not before or "Partial(norm2.0)" in before
        assert (shape, placed, number) == ((), "(Partial(norm2.0),)", whole)


def test_a_hook_on_a_part_is_called_when_its_gradient_is_there():
    def run(group):
        join(group)
        seen, found = [], []
        for steps_in_backward in (True, False):
            model = sharded("deep")
            optimizers = {p: torch.optim.SGD([p], lr=0.1, momentum=0.9) for p in model.parameters()}

            def step(part, optimizers=optimizers):
                seen.append((type(part).__name__, tuple(part.grad.shape) == tuple(part.shape)))
                optimizers[part].step()
                part.grad = None

            if steps_in_backward:
                for part in model.parameters():
                    part.register_post_accumulate_grad_hook(step)
            for batch in batches("deep", 3):
                loss_of(model, batch, group).backward()
                if not steps_in_backward:
                    for part in model.parameters():
                        optimizers[part].step()
                        part.grad = None
            found.append(values(model))
        return seen, found, len(optimizers)

    for seen, (in_backward, after), count in run_local(run, 2):
        assert seen == [("DTensor", True)] * 3 * count
        assert equal(in_backward, after)


def test_hooks_of_a_module_are_called_in_the_order_of_pytorch():
    def run(group):
        join(group)
        model = make("mlp")
        seen = []

        def note(when):
            return lambda module, *_: seen.append((when, type(module.weight).__name__))

        model[0].register_forward_hook(note("registered before"))
        fully_shard(model[0])
        fully_shard(model)
        plain = loss_of(model, batches("mlp", 1)[0], group).item()
        model[0].register_forward_hook(note("registered after"))
        model[0].register_forward_pre_hook(note("pre"))
        assert loss_of(model, batches("mlp", 1)[0], group).item() == plain
        return seen

    for seen in run_local(run, 2):
        assert seen == [
            ("registered before", "Parameter"),
            ("pre", "Parameter"),
            ("registered before", "Parameter"),
            ("registered after", "DTensor"),
        ]


def test_settings_of_other_devices_are_accepted_and_other_collectives_refused():
    def run(group):
        join(group)
        model = sharded("mlp")
        model.set_allocate_memory_from_process_group_for_comm(True)
        model.set_post_optim_event(None)
        for refused in (model.set_custom_all_gather, model.set_custom_reduce_scatter):
            with pytest.raises(UnsupportedError, match=refused.__name__):
                refused(None)

    run_local(run, 2)


def test_a_part_shows_its_placements_as_a_tuple():
    def run(group):
        join(group)
        flat = torch.distributed.init_device_mesh("cpu", (2,))
        square = torch.distributed.init_device_mesh("cpu", (1, 2), mesh_dim_names=("replicate", "shard"))
        return [
            repr(distribute_tensor(torch.ones(2), mesh, placements)).partition("placements=")[2]
            for mesh, placements in ((flat, [Shard(0)]), (square, [Replicate(), Shard(0)]))
        ]

    assert run_local(run, 2) == [["(Shard(dim=0),))", "(Replicate(), Shard(dim=0)))"]] * 2


def test_a_part_is_shown_without_its_graph():
    def run(group):
        join(group)
        layer = fully_shard(nn.Linear(2, 1))
        return repr(layer.weight).partition(", device_mesh")[0].replace("DTensor(local_tensor=tensor", "")

    texts = run_local(run, 2)
    assert all("requires_grad" not in text and "grad_fn" not in text for text in texts)
    assert texts[1] == "([], size=(0, 2))"


def test_distribute_tensor_takes_over_rank_0s_values():
    def run(group):
        join(group)
        mesh = torch.distributed.init_device_mesh("cpu", (group.size(),))
        made = distribute_tensor(torch.full((5, 2), float(group.rank())), mesh, [Shard(0)])
        return made.full_tensor().sum().item(), len(made.to_local())

    assert run_local(run, 3) == [(0.0, 2), (0.0, 2), (0.0, 1)]


def test_a_distributed_tensor_can_be_made_to_lie_in_another_way():
    whole = np.arange(12.0).reshape(6, 2)

    def run(group):
        join(group)
        mesh = torch.distributed.init_device_mesh("cpu", (2,))
        rows = distribute_tensor(torch.tensor(whole), mesh, [Shard(0)])
        moved = [rows.redistribute(mesh, each) for each in ([Replicate()], [Shard(-1)], [Shard(0)])]
        total = rows.sum().redistribute(placements=[Replicate()])
        for wrong, text in (
            (lambda: rows.redistribute(mesh), "placements is needed"),
            (lambda: rows.redistribute(mesh, [Partial()]), r"Can not redistribute from S\(0\) to P\(sum\)"),
            (lambda: rows.redistribute(mesh, [Shard(2)]), "Shard"),
            (lambda: distribute_tensor(torch.ones(4), mesh, [Shard(3)]), "Shard"),
        ):
            with pytest.raises((RuntimeError, ValueError), match=text):
                wrong()
        assert moved[2] is not rows and total.placements == (Replicate(),)
        return [each.to_local().tolist() for each in moved], [each.placements for each in moved], float(total)

    for rank, (found, placed, total) in enumerate(run_local(run, 2)):
        assert found == [
            whole.tolist(),
            whole[:, rank : rank + 1].tolist(),
            whole[rank * 3 : rank * 3 + 3].tolist(),
        ]
        assert placed == [(Replicate(),), (Shard(1),), (Shard(0),)] and total == 66.0


def test_what_cannot_be_sharded_is_refused():
    def run(group):
        join(group)
        with pytest.raises(ValueError, match="does not support containers"):
            fully_shard(nn.ModuleList([nn.Linear(2, 2)]))
        with pytest.raises(ValueError, match="should be a factor of 2, not 3"):
            fully_shard(nn.Linear(2, 2), reshard_after_forward=3)
        model = nn.Linear(2, 2)
        model.scale = nn.Parameter(torch.tensor(1.0))
        with pytest.raises(ValueError, match=r"doesn't support scalar parameters\. Change scale"):
            fully_shard(model)
        model = fully_shard(nn.Linear(2, 2))
        with pytest.raises(AssertionError, match="can only be applied to a module once"):
            fully_shard(model)
        with pytest.raises(AssertionError, match="does not support deepcopy"):
            __import__("copy").deepcopy(model)
        with pytest.raises(ValueError, match="Expects FSDPModule"):
            model.set_modules_to_forward_prefetch([nn.Linear(2, 2)])

    run_local(run, 2)


def test_a_parameter_of_two_units_is_refused():
    def run(group):
        join(group)
        model = make("tied")
        fully_shard(model.first)
        fully_shard(model)
        with pytest.raises(
            ValueError, match=r"'first.weight' is shared with a parameter already managed by another"
        ):
            model(part_of(batches("tied", 1)[0], group))

    run_local(run, 2)


def test_prefetching_more_changes_nothing_but_when_parameters_travel():
    def run(group):
        join(group)
        model = sharded("mlp")
        model[0].set_modules_to_forward_prefetch([model[2], model[4]])
        model[4].set_modules_to_backward_prefetch([model[2], model[0]])
        train(model, "mlp", group)
        plain = data_parallel("mlp", group)
        train(plain, "mlp", group)
        return equal(values(model), values(plain))

    assert all(run_local(run, 2))


def test_forward_that_is_called_by_itself_is_refused_with_the_units_name():
    class Two(nn.Linear):
        def forward(self, x, scale=1.0):
            return super().forward(x) * scale

    def run(group):
        join(group)
        model = fully_shard(nn.Sequential(fully_shard(Two(4, 6)), nn.ReLU()))
        x = torch.ones(2, 4)
        said = []
        for _ in range(2):  # before the first pass, and after one
            with pytest.raises(RuntimeError) as refused:
                model[0].forward(x)
            said.append(str(refused.value))
            model(x).sum().backward()
        with pytest.raises(
            RuntimeError, match="forward"
        ):  # which calls one that gathers: its own unit has nothing
            fully_shard(nn.Linear(4, 4)).forward(x)
        model[0].unshard()
        by_hand = model[0].forward(x, scale=2.0).shape
        model[0].reshard()
        return said, tuple(by_hand), list(inspect.signature(model[0].forward).parameters)

    for said, by_hand, parameters in run_local(run, 2):
        assert all("Two.forward() was called by itself" in each and "weight, bias" in each for each in said)
        assert by_hand == (2, 6) and parameters == ["x", "scale"]
