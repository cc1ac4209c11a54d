"""Senseless schedules, runs that break off, forks, wrong arguments: as in PyTorch, or with a clear error."""

import os
import subprocess
import sys
import threading
import warnings

import pytest

import distrt
from distrt.autograd import profiler as older
from distrt.profiler import ProfilerActivity, profile, record_function, schedule
from distrt.utils.data import DataLoader, Dataset

CPU = [ProfilerActivity.CPU]

# NONE 0, WARMUP 1, RECORD 2, RECORD_AND_SAVE 3, then NONE; PyTorch itself dies of a RECORD before a WARMUP.
SCHEDULES = "0 1 2 3 02 10 12 13 20 22 23 30 31 33 0300 1010 1100 1113 2022 2230 222 232 3333".split()


def told(library, actions):
    """What a run by these actions hands over, leaves, and warns of."""
    action = library.profiler.ProfilerAction
    found = []

    def steps(prof):
        return sum(each.name == "ProfilerStep*" for each in prof.events())

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with library.profiler.profile(
            activities=[library.profiler.ProfilerActivity.CPU],
            schedule=lambda step: action(int(actions[step])) if step < len(actions) else action.NONE,
            on_trace_ready=lambda prof: found.append((prof.step_num, steps(prof))),
        ) as prof:
            for _ in range(len(actions) + 1):
                prof.step()
        left = steps(prof) if set(actions) != {"0"} else None
    # Who is handed each cycle has lost nothing, and is not told that the last one is gone.
    return found, left, [str(each.message) for each in warned if "clears events" not in str(each.message)]


@pytest.mark.parametrize("actions", SCHEDULES)
def test_what_a_schedule_leaves_is_pytorchs(torch, actions):
    assert told(distrt, actions) == told(torch, actions)


@pytest.mark.parametrize("kept", [False, True])
def test_a_run_that_ends_in_a_warm_up_has_what_it_kept(kept):
    cycle = schedule(wait=0, warmup=1, active=1)
    with profile(activities=CPU, schedule=cycle, acc_events=kept, on_trace_ready=lambda prof: None) as prof:
        for _ in range(6):
            distrt.ones(2) + 1
            prof.step()
    assert [each.trace_name for each in prof.events() if each.name == "ProfilerStep*"] == (
        ["ProfilerStep#1", "ProfilerStep#3", "ProfilerStep#5"] if kept else []
    )
    assert isinstance(prof.key_averages().table(), str)


@pytest.mark.parametrize(
    "asked", [["CUDA"], ["CPU", "CPU"], ["CPU", "cpu"], [{"CPU": []}], [{"CPU": []}, "CPU"]], ids=str
)
@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_activities_are_looked_at(torch, asked):
    def made(library):
        def activity(name):
            return getattr(library.profiler.ProfilerActivity, name, name)

        named = [
            {activity(k): v for k, v in each.items()} if isinstance(each, dict) else activity(each)
            for each in asked
        ]
        try:
            with library.profiler.profile(activities=named):
                return None
        except (AssertionError, TypeError, ValueError) as error:
            return type(error), str(error)

    assert made(distrt) == made(torch)


def test_what_is_deprecated_says_so():
    with pytest.warns(FutureWarning, match="`use_cuda` is deprecated"):
        profile(activities=CPU, use_cuda=False)
    with pytest.raises(ValueError, match="DEVICE_STOPPED"):
        profile(activities=CPU, schedule=lambda step: distrt.profiler.ProfilerAction.DEVICE_STOPPED)


def test_stacks_need_stacks(tmp_path):
    with profile(activities=CPU) as prof:
        distrt.ones(2) + 1
    with pytest.raises(AssertionError, match=r"export_stacks\(\) requires with_stack=True"):
        prof.export_stacks(tmp_path / "stacks")


@pytest.mark.parametrize("place", ["missing/trace.json", "."])
def test_a_trace_that_cannot_be_written_is_an_error_of_the_system(tmp_path, place):
    with profile(activities=CPU) as prof:
        distrt.ones(2) + 1
    with pytest.raises(OSError, match=r"No such file|Is a directory") as found:
        prof.export_chrome_trace(tmp_path / place)
    assert found.value.filename == str(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_tensorboard_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    handler = distrt.profiler.tensorboard_trace_handler(str(tmp_path / "file" / "log"))
    prof = profile(activities=CPU, on_trace_ready=handler)
    prof.start()
    with pytest.raises(RuntimeError, match=r"Can't create directory: .*/file/log"):
        prof.stop()
    with profile(activities=CPU):  # the recording was over
        pass


def test_what_is_written_in_place_or_looked_at_is_not_made():
    x, out = distrt.ones(1000), distrt.empty(8, 8)
    with profile(activities=CPU, profile_memory=True) as prof:
        x.zero_()
        x[10:20]
        distrt.mm(distrt.ones(8, 8), distrt.ones(8, 8), out=out)
        distrt.nn.functional.conv2d(distrt.ones(1, 1, 8, 8), distrt.ones(1, 1, 3, 3))
    own = {each.key: each.self_cpu_memory_usage for each in prof.key_averages()}
    assert own["aten::zero_"] == own["aten::index"] == own["aten::mm"] == own["aten::conv2d"] == 0
    assert own["aten::convolution"] == 36 * 4  # whatever array its kernel has cut it from


def test_memory_of_a_backward_pass_is_seen():
    weight = distrt.ones(50, 20, requires_grad=True)
    loss = (distrt.ones(8, 20) @ weight.t()).sum()
    with profile(activities=CPU, profile_memory=True) as prof:
        loss.backward()
    assert prof.key_averages().total_average().self_cpu_memory_usage >= weight.nbytes


def test_threads_that_want_to_profile_at_once_are_told():
    ready, said = threading.Barrier(4), []

    def work():
        ready.wait()
        try:
            with profile(activities=CPU) as prof:
                distrt.ones(2) + 1
            said.append(len(prof.events()))
        except RuntimeError as error:
            said.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(each == 2 or "a recording is running" in str(each) for each in said), said
    assert 2 in said


def test_a_forked_process_records_nothing_and_may_profile_itself():
    with profile(activities=CPU) as prof:
        read, write = os.pipe()
        if not (child := os.fork()):
            try:
                distrt.ones(2) + 1
                with profile(activities=CPU) as own:
                    distrt.ones(2) * 2
                    with record_function("here"):
                        pass
                names = [each.name for each in own.events()]
                os.write(
                    write, b"right" if names == ["aten::ones", "aten::mul", "here"] else repr(names).encode()
                )
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        distrt.ones(2) - 2
    assert os.read(read, 1000) == b"right"
    os.close(read)
    os.close(write)
    assert [each.name for each in prof.events()] == ["aten::ones", "aten::sub"]


class Profiled(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        with profile(activities=CPU) as prof:
            distrt.ones(3) * index
        return len(prof.events())


@pytest.mark.ci
def test_a_loaders_workers_may_profile_while_their_parent_does():
    with profile(activities=CPU):
        batches = [each.tolist() for each in DataLoader(Profiled(), batch_size=2, num_workers=2)]
    assert batches == [[2, 2], [2, 2]]


@pytest.mark.parametrize(
    "chosen", [{"use_cuda": True}, {"use_device": "xpu"}, {"use_device": "cpu"}], ids=str
)
def test_the_older_profiler_says_what_pytorchs_says_of_devices(torch, chosen):
    said = []
    for library in (torch, distrt):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            assert library.autograd.profiler.profile(**chosen).use_device is None
        said.append([(each.category, str(each.message)) for each in warned])
    assert said[0] == said[1]


def test_the_older_profiler_takes_pytorchs_arguments():
    with older.profile(record_shapes=True, use_kineto=True) as prof:
        distrt.ones(2, 3) + 1
    assert "[[2, 3], []]" in prof.key_averages(group_by_input_shape=True).table()
    with pytest.warns(UserWarning, match="CUDA is not available, disabling CUDA profiling"):
        older.profile(use_device="cuda")
    with pytest.raises(AssertionError, match="Device-only"):
        older.profile(use_cpu=False)
    with pytest.raises(TypeError, match="unexpected keyword argument 'use_gpu'"):
        older.profile(use_gpu=True)
    with older.profile(enabled=False) as off:
        pass
    with pytest.raises(RuntimeError, match="enabled=False"):
        off.table()
    assert repr(older.profile()) == str(older.profile()) == "<unfinished torch.autograd.profile>"


@pytest.mark.parametrize("kind", [older.emit_nvtx, older.emit_itt])
def test_marks_are_not_reentrant(kind):
    marks = kind()
    with marks:
        pass
    with pytest.raises(RuntimeError, match="annotation context manager is not reentrant"):
        marks.__enter__()
    with kind(enabled=False) as nothing:
        assert nothing is None


def test_pytorchs_paths_lead_to_the_same():
    from distrt.autograd.profiler_util import EventList, FunctionEvent
    from distrt.profiler import profiler

    assert profiler.profile is profile and profiler.schedule is schedule
    assert older.EventList is EventList and older.FunctionEvent is FunctionEvent
    assert older.kineto_available()


def test_itt_is_as_in_a_pytorch_without_it():
    itt = distrt.profiler.itt
    assert not itt.is_available()
    for use in (
        lambda: itt.mark("a"),
        lambda: itt.range_push("a"),
        itt.range_pop,
        itt.range("a {}", 1).__enter__,
    ):
        with pytest.raises(RuntimeError, match="ITT functions not installed"):
            use()


NEVER_STOPPED = """
import logging
handler = logging.StreamHandler()  # which Python's end calls when modules are gone
logging.getLogger("a").addHandler(handler)
from distrt.profiler import ProfilerActivity, profile
prof = profile(activities=[ProfilerActivity.CPU])
prof.start()
"""


@pytest.mark.ci
def test_a_program_may_end_while_it_is_profiled():
    command = [sys.executable, "-c", NEVER_STOPPED]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
