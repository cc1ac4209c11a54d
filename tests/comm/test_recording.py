"""``record`` on a rank's main function, beside PyTorch's."""

import json
import sys

import pytest

import distrt.distributed.elastic.multiprocessing.errors as ours


def ends(code):
    sys.exit(code)


def fails(a, *, b):
    raise KeyError(a, b)


@pytest.fixture(params=["distrt", "torch"])
def errors(request):
    if request.param == "distrt":
        return ours
    request.getfixturevalue("torch")
    from torch.distributed.elastic.multiprocessing import errors

    return errors


@pytest.fixture
def decorate(errors):
    return errors.record


def test_what_the_function_gives_is_passed_on(decorate):
    def f(a, b=2):
        """Says it."""
        return a, b

    assert decorate(f)(1, b=3) == (1, 3) and decorate(f).__doc__ == "Says it."


def test_an_exit_without_an_error_is_none(decorate):
    assert decorate(ends)(0) is None
    with pytest.raises(SystemExit):
        decorate(ends)(2)


def test_an_exception_is_raised_and_written_to_the_named_file(decorate, tmp_path, monkeypatch):
    path = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(path))
    with pytest.raises(KeyError):
        decorate(fails)(1, b=2)
    told = json.loads(path.read_text())["message"]
    assert told["message"] == "KeyError: (1, 2)"
    assert "raise KeyError(a, b)" in told["extraInfo"]["py_callstack"]
    assert told["extraInfo"]["timestamp"].isdigit()


def test_a_handler_of_ones_own_is_told_instead(errors, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    heard = []

    class Own(errors.ErrorHandler):
        def initialize(self):
            heard.append("begins")

        def record_exception(self, e):
            heard.append(repr(e))

    with pytest.raises(KeyError):
        errors.record(fails, Own())(1, b=2)
    assert heard == ["begins", "KeyError(1, 2)"] and not list(tmp_path.iterdir())
    assert type(errors.get_error_handler()) is errors.ErrorHandler


def failed(errors, tmp_path):
    """Two children: one that has written a report, and one that a signal has ended later."""
    report = tmp_path / "child.json"
    details = {"py_callstack": "Traceback:\n  boom\n", "timestamp": "10"}
    report.write_text(json.dumps({"message": {"message": "ValueError: boom", "extraInfo": details}}))
    return errors.ChildFailedError(
        "train.py",
        {
            0: errors.ProcessFailure(0, 100, -9, str(tmp_path / "nothing")),
            3: errors.ProcessFailure(1, 101, 1, str(report)),
        },
    )


def test_the_failures_of_children_are_told_in_pytorchs_words(torch, tmp_path):
    from torch.distributed.elastic.multiprocessing import errors as theirs

    texts = []
    for errors in (ours, theirs):
        error = failed(errors, tmp_path)
        rank, failure = error.get_first_failure()
        assert (rank, failure.timestamp, error.failures[0].signal_name()) == (3, 10, "SIGKILL")
        texts.append([line for line in str(error).splitlines() if "time  " not in line])
    mine, his = ([line for line in text if set(line) - set("=-* ")] for text in texts)
    assert [line.rstrip() for line in mine] == [line.rstrip() for line in his]


def test_a_parent_hands_its_childs_report_on(errors, tmp_path, monkeypatch):
    path = tmp_path / "parent.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(path))

    @errors.record
    def parent():
        raise failed(errors, tmp_path)

    with pytest.raises(errors.ChildFailedError, match="FAILED"):
        parent()
    assert json.loads(path.read_text())["message"]["message"] == "ValueError: boom"
