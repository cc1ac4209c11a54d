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
