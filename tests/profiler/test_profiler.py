"""A profile shows every call once, nested as it was, changes nothing, and costs nothing when it is over."""

import gzip
import json
import sys
import threading

import numpy as np
import pytest

import distrt
from distrt import nn
from distrt.autograd import profiler as older
from distrt.nn import functional as F
from distrt.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
)

CPU = [ProfilerActivity.CPU]


def a_step():
    distrt.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = distrt.optim.SGD(model.parameters(), lr=0.1)
    inputs = distrt.randn(5, 8)

    def step():
        optimizer.zero_grad()
        with record_function("forward"):
            loss = model(inputs).square().mean()
        loss.backward()
        optimizer.step()

    return model, step


def named(events, name):
    return [each for each in events if each.name == name]


def test_a_training_step_has_each_call_once_and_in_its_place():
    _, step = a_step()
    with profile(activities=CPU, record_shapes=True) as prof:
        step()
    events = prof.events()
    (forward,) = named(events, "forward")
    assert forward.is_user_annotation
    first, second = named(events, "aten::linear")
    assert first.cpu_parent is forward
    assert second.cpu_parent is forward
    assert first.input_shapes == [[5, 8], [16, 8], [16]]
    assert len(named(events, "AddmmBackward0")) == 2
    assert len(named(events, "Optimizer.step#SGD.step")) == 1
    assert len(named(events, "Optimizer.zero_grad#SGD.zero_grad")) == 1
    assert [each.id for each in events] == sorted(each.id for each in events)


def test_times_of_calls_add_up():
    _, step = a_step()
    with profile(activities=CPU) as prof:
        step()
    events = prof.events()
    for each in events:
        assert each.self_cpu_time_total >= 0
        for child in each.cpu_children:
            assert each.time_range.start <= child.time_range.start
            assert child.time_range.end <= each.time_range.end
    averages = prof.key_averages()
    outermost = sum(each.cpu_time_total for each in events if each.cpu_parent is None)
    assert averages.self_cpu_time_total == pytest.approx(outermost)
    assert sum(each.count for each in averages) == len(events)


def test_a_profile_changes_no_result_and_ends():
    plain_model, plain = a_step()
    seen_model, seen = a_step()
    for _ in range(3):
        plain()
    with profile(activities=CPU, record_shapes=True, profile_memory=True, with_stack=True, with_flops=True):
        for _ in range(3):
            seen()
    assert sys.getprofile() is None
    for one, other in zip(plain_model.parameters(), seen_model.parameters(), strict=True):
        assert np.array_equal(one.detach().numpy(), other.detach().numpy())


def test_the_table_is_sorted_and_cut():
    _, step = a_step()
    with profile(activities=CPU, profile_memory=True) as prof:
        step()
    averages = prof.key_averages()
    text = averages.table(sort_by="self_cpu_time_total", row_limit=3)
    lines = text.splitlines()
    assert lines[1].split("  ")[-2].strip() == "# of Calls"
    assert "Self CPU Mem" in lines[1]
    assert len(lines) == 3 + 3 + 2
    assert lines[-1].startswith("Self CPU time total: ")
    largest = max(averages, key=lambda each: each.self_cpu_time_total)
    assert lines[3].split()[0] == largest.key.split()[0]
    assert averages.table(sort_by="cuda_time_total")  # scripts ask for it, GPU or not
    with pytest.raises(AttributeError, match="nonsense"):
        averages.table(sort_by="nonsense")


def test_a_gpu_that_is_not_there_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="CUDA is not available, disabling CUDA profiling"):
        made = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    assert made.activities == {ProfilerActivity.CPU}
    with pytest.raises(AssertionError, match="No valid profiler activities found"):
        profile(activities=[])


@pytest.mark.parametrize(
    "given",
    [
        {"wait": 1, "warmup": 1, "active": 2},
        {"wait": 1, "warmup": 1, "active": 2, "repeat": 2, "skip_first": 1},
        {"wait": 0, "warmup": 0, "active": 1},
        {"wait": 3, "warmup": 2, "active": 1, "skip_first": 2, "skip_first_wait": 1},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Profiler won't be using warmup")
def test_schedules_are_pytorchs(torch, given):
    theirs, ours = torch.profiler.schedule(**given), schedule(**given)
    assert [ours(step).name for step in range(20)] == [theirs(step).name for step in range(20)]


def test_a_schedule_hands_over_each_cycle_alone():
    _, step = a_step()
    found = []

    def ready(prof):
        steps = [each.trace_name for each in prof.events() if each.name == "ProfilerStep*"]
        (average,) = [each for each in prof.key_averages() if each.key == "ProfilerStep*"]
        found.append((prof.step_num, steps, average.count))

    with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=ready) as prof:
        for _ in range(9):
            step()
            prof.step()
    assert found == [
        (4, ["ProfilerStep#2", "ProfilerStep#3"], 2),
        (8, ["ProfilerStep#6", "ProfilerStep#7"], 2),
    ]
    assert sys.getprofile() is None


def test_kept_cycles_are_all_there():
    with profile(schedule=schedule(wait=0, warmup=1, active=1, repeat=3), acc_events=True) as prof:
        for _ in range(6):
            distrt.ones(2) + 1
            prof.step()
    assert len(named(prof.events(), "aten::add")) == 3


def test_schedules_that_make_no_sense_are_refused():
    with pytest.raises(AssertionError, match=r"wait=-1 \(need >= 0\).*active=0 \(need > 0\)"):
        schedule(wait=-1, warmup=0, active=0)
    with pytest.warns(UserWarning, match="won't be using warmup"):
        at_once = schedule(wait=0, warmup=0, active=1)
    assert at_once(0) is ProfilerAction.RECORD_AND_SAVE


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_a_trace_is_strict_json_whose_events_nest(tmp_path, name):
    _, step = a_step()
    with profile(activities=CPU, record_shapes=True, with_stack=True) as prof:
        step()
    prof.add_metadata("run", "seven")
    prof.add_metadata_json("more", '{"lr": 0.1}')
    path = tmp_path / name
    prof.export_chrome_trace(path)
    data = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()

    def refused(constant):
        raise AssertionError(f"{constant} is no JSON")

    trace = json.loads(data, parse_constant=refused)
    assert (trace["run"], trace["more"]) == ("seven", {"lr": 0.1})
    spans = [
        each
        for each in trace["traceEvents"]
        if each["ph"] == "X" and each["cat"] in ("cpu_op", "user_annotation")
    ]
    assert len(spans) == len(prof.events())
    open_until: dict[int, list[float]] = {}
    for each in sorted(spans, key=lambda each: (each["ts"], -each["dur"])):
        around = open_until.setdefault(each["tid"], [])
        while around and around[-1] <= each["ts"]:
            around.pop()
        assert not around or each["ts"] + each["dur"] <= around[-1] + 0.002, each  # written to a nanosecond
        around.append(each["ts"] + each["dur"])
    assert any(__file__ in each["args"].get("Call stack", "") for each in spans)
    assert list(tmp_path.iterdir()) == [path]


def test_the_handler_for_tensorboard_writes_a_file_a_cycle(tmp_path):
    handler = distrt.profiler.tensorboard_trace_handler(str(tmp_path / "log"), worker_name="me")
    with profile(schedule=schedule(wait=0, warmup=1, active=1, repeat=2), on_trace_ready=handler) as prof:
        for _ in range(5):
            distrt.ones(2) + 1
            prof.step()
    names = sorted(each.name for each in (tmp_path / "log").iterdir())
    assert len(names) == 2
    assert all(name.startswith("me.") and name.endswith(".pt.trace.json") for name in names)


def test_stacks_are_the_users_lines(tmp_path):
    def where_it_happens():
        return distrt.ones(3) * 2

    with profile(activities=CPU, with_stack=True) as prof:
        where_it_happens()
    (event,) = named(prof.events(), "aten::mul")
    assert event.stack[0].startswith(__file__)
    assert event.stack[0].endswith(": where_it_happens")
    prof.export_stacks(tmp_path / "stacks", "self_cpu_time_total")
    assert "where_it_happens" in (tmp_path / "stacks").read_text()
    grouped = prof.key_averages(group_by_stack_n=1).table(max_src_column_width=200)
    assert "where_it_happens" in grouped
    with pytest.raises(ValueError, match="self_cpu_time_total"):
        prof.export_stacks(tmp_path / "stacks", "nonsense")


def test_flops_are_pytorchs(torch):
    def program(library):
        made = library.nn.functional
        library.mm(library.ones(3, 4), library.ones(4, 5))
        library.bmm(library.ones(2, 3, 4), library.ones(2, 4, 5))
        library.addmm(library.ones(5), library.ones(3, 4), library.ones(4, 5))
        made.conv2d(library.ones(2, 4, 9, 9), library.ones(6, 2, 3, 3), padding=1, stride=2, groups=2)

    totals = []
    for library in (torch, distrt):
        with library.profiler.profile(
            activities=[library.profiler.ProfilerActivity.CPU], with_flops=True
        ) as prof:
            program(library)
        averages = prof.key_averages(group_by_input_shape=False)
        totals.append({each.key: each.flops for each in averages if each.flops})
    assert totals[0] == totals[1]


def test_memory_is_what_calls_hand_out():
    x = distrt.ones(1000)
    with profile(activities=CPU, profile_memory=True) as prof:
        y = x + 1
        y.view(10, 100)
        F.relu(y)
    memory = {each.key: (each.cpu_memory_usage, each.self_cpu_memory_usage) for each in prof.key_averages()}
    assert memory["aten::add"] == memory["aten::relu"] == (4000, 4000)
    assert memory["aten::view"] == (0, 0)


def test_memory_of_a_block_is_that_of_its_calls_whatever_became_of_it():
    x = distrt.ones(1000)
    with profile(activities=CPU, profile_memory=True) as prof, record_function("block"):
        for _ in range(5):
            x + 1  # freed at once: the next one may lie in the same place
    (block,) = named(prof.events(), "block")
    assert block.cpu_memory_usage == 5 * 4000
    assert block.self_cpu_memory_usage == 0


def test_a_named_block_ends_when_it_raises_and_functions_can_be_named():
    @record_function("named")
    def twice(x):
        return x * 2

    with profile(activities=CPU) as prof:
        with pytest.raises(TypeError), record_function("fails"):
            distrt.ones(2)["x"]
        assert twice(distrt.ones(2)).tolist() == [2, 2]
    (fails,), (name,) = named(prof.events(), "fails"), named(prof.events(), "named")
    assert fails.cpu_parent is name.cpu_parent is None
    assert [each.name for each in name.cpu_children] == ["aten::mul"]
    with record_function("nobody listens"):
        pass


def test_threads_that_start_meanwhile_have_numbers_of_their_own():
    def work():
        distrt.ones(3) + 1

    with profile(activities=CPU) as prof:
        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert [each.thread for each in named(prof.events(), "aten::add")] == [1, 2]


def test_a_thread_that_outlives_the_recording_is_left_alone():
    goes_on, left = threading.Event(), []

    def work():
        goes_on.wait(10)
        distrt.ones(3) + 1
        left.append(sys.getprofile())

    with profile(activities=CPU) as prof:
        thread = threading.Thread(target=work)
        thread.start()
    goes_on.set()
    thread.join()
    assert left == [None]
    assert named(prof.events(), "aten::add") == []


def test_annotations_alone_cost_no_look_at_operations():
    with profile(sees_operations=False) as prof:
        assert sys.getprofile() is None
        with record_function("block"):
            distrt.ones(3) + 1
    assert [each.name for each in prof.events()] == ["block"]


def test_what_is_not_there_yet_is_said():
    made = profile(activities=CPU)
    for ask, said in (("events", "accessing events"), ("key_averages", "getting key averages")):
        with pytest.raises(AssertionError, match=f"Profiler must be initialized before {said}"):
            getattr(made, ask)()
    with pytest.raises(AssertionError, match="before stopping trace"):
        made.stop()
    with (
        profile(activities=CPU),
        pytest.raises(RuntimeError, match="a recording is running"),
        profile(activities=CPU),
    ):
        pass
    assert sys.getprofile() is None


def test_the_older_profiler():
    with older.profile(record_shapes=True) as prof:
        distrt.ones(2, 3) + 1
        with pytest.raises(RuntimeError, match="didn't finish"):
            prof.table()
    assert "aten::add" in prof.key_averages(group_by_input_shape=True).table()
    assert prof.total_average().count == len(prof.function_events)
    assert prof.self_cpu_time_total > 0
    with older.profile(enabled=False), older.emit_nvtx():
        distrt.ones(1) + 1


def test_the_table_has_pytorchs_layout(torch):
    tables = []
    for library in (torch, distrt):
        library.profiler.profile(activities=[library.profiler.ProfilerActivity.CPU])
        with library.profiler.profile(
            activities=[library.profiler.ProfilerActivity.CPU], record_shapes=True, profile_memory=True
        ) as prof:
            library.nn.functional.relu(library.ones(2, 3))
        text = prof.key_averages(group_by_input_shape=True).table(
            header="Head", top_level_events_only=True, row_limit=2
        )
        titles = next(line for line in text.splitlines() if "# of Calls" in line)
        tables.append(
            (titles.split(), text.splitlines()[1], text.splitlines()[3], "Self CPU time total" in text)
        )
    assert tables[0] == tables[1]


def test_operations_are_left_out_for_a_while():
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        prof.toggle_collection_dynamic(False, [ProfilerActivity.CPU])
        with record_function("named"):
            distrt.ones(2) * 3
        prof.toggle_collection_dynamic(True, [ProfilerActivity.CPU])
        distrt.ones(2) + 3
    assert {"named", "aten::add"} <= {each.key for each in prof.key_averages()}
    assert "aten::mul" not in {each.key for each in prof.key_averages()}
    assert sys.getprofile() is None


@pytest.mark.parametrize("activities", [["cpu"], []])
def test_activities_are_activities(torch, activities):
    with pytest.raises(AssertionError) as expected:
        torch.profiler.profile(activities=activities)
    with pytest.raises(AssertionError, match=f"^{expected.value}$"):
        profile(activities=activities)


def test_a_steps_number_and_a_blocks_name_are_looked_at(torch):
    with pytest.raises(AssertionError) as expected:
        torch.profiler.schedule(wait=1, warmup=1, active=2)(-1)
    with pytest.raises(AssertionError) as found:
        distrt.profiler.schedule(wait=1, warmup=1, active=2)(-1)
    assert str(found.value) == str(expected.value)
    with pytest.raises(TypeError, match="a name that is a str, got int"):
        record_function(3)
