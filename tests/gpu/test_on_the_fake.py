"""The GPU's code on a fake of CuPy: it asks for nothing that CuPy lacks, and takes nothing to the host unasked.

A fake shows no more than that. What has run on a GPU is told by ``scripts/gpu-check``, and by docs/gpu.md.
"""

from __future__ import annotations

import shutil

import pytest

from tests.gpu.fixtures import run_check

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None, reason="the fake of CuPy runs kernels in CUDA by g++, which is not here"
)
PARTS = 24


def _assert_passed(name: str, *arguments: str, seconds: float = 110) -> None:
    ended = run_check(name, *arguments, seconds=seconds)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert any(line.endswith(" 0 failed") or line == "0 failed" for line in ended.stdout.splitlines())


@pytest.mark.ci
@pytest.mark.parametrize("name", ["behaviour", "memory"])
def test_tensors_and_modules_behave_as_users_expect(name: str) -> None:
    _assert_passed(name)


@pytest.mark.slow
def test_operations_of_large_arrays_leave_the_kernels_of_the_cpu_alone() -> None:
    _assert_passed("sizes")


@pytest.mark.ci
@pytest.mark.parametrize("name", ["kernels", "images"])
def test_a_few_kernels_agree_with_what_they_replace(name: str) -> None:
    _assert_passed(name, "few")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kernels", "images"])
def test_kernels_agree_with_what_they_replace(name: str) -> None:
    _assert_passed(name)


@pytest.mark.ci
@pytest.mark.parametrize("name", ["random_numbers", "families"])
def test_random_numbers_have_their_distributions(name: str) -> None:
    _assert_passed(name)


@pytest.mark.ci
def test_products_hand_cublas_what_it_expects() -> None:
    _assert_passed("products")


@pytest.mark.ci
def test_products_with_biases_hand_cublaslt_what_it_expects() -> None:
    _assert_passed("epilogues")


@pytest.mark.ci
def test_attention_is_that_of_the_cpu_in_several_cases() -> None:
    _assert_passed("attention", "few")


@pytest.mark.slow
def test_attention_is_that_of_the_cpu() -> None:
    _assert_passed("attention")


@pytest.mark.slow
def test_attention_without_scores_in_memory_is_that_of_the_cpu_in_several_cases() -> None:
    _assert_passed("fused_attention", "few")


@pytest.mark.ci
def test_recurrent_layers_are_those_of_the_cpu_in_two_dtypes() -> None:
    _assert_passed("recurrent", "few")


@pytest.mark.slow
def test_recurrent_layers_are_those_of_the_cpu() -> None:
    _assert_passed("recurrent")


@pytest.mark.ci
def test_ctc_is_that_of_the_cpu_in_one_reduction() -> None:
    _assert_passed("ctc", "few")


@pytest.mark.slow
def test_ctc_is_that_of_the_cpu() -> None:
    _assert_passed("ctc")


@pytest.mark.ci
def test_what_need_not_wait_neither_waits_nor_copies() -> None:
    _assert_passed("copies")


@pytest.mark.ci
def test_changes_in_place_take_no_other_memory() -> None:
    _assert_passed("in_place")


@pytest.mark.ci
def test_graphs_are_captured_and_replayed() -> None:
    _assert_passed("graphs")


@pytest.mark.ci
def test_models_are_called_on_several_gpus_at_once() -> None:
    _assert_passed("several")


@pytest.mark.ci
def test_convolutions_hand_cudnn_what_it_expects() -> None:
    _assert_passed("convolutions")


@pytest.mark.ci
@pytest.mark.parametrize("name", ["char_gpt", "resumable"])
def test_examples_run_to_their_end(name: str) -> None:
    _require_examples()
    _assert_passed("examples", name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "features",
        "gan",
        "gradcam",
        "imbalanced",
        "model_tester",
        "text_classifier.py --epochs",
        "train_digits",
        "trainer",
    ],
)  # finetune's ResNet-18 and the transformer take the fake minutes
def test_the_other_examples_run_to_their_end(name: str) -> None:
    _require_examples()
    _assert_passed("examples", name)


def _require_examples() -> None:
    for package in ("sklearn", "matplotlib", "tqdm", "PIL"):
        pytest.importorskip(
            package, reason=f"{package} is not installed: pip install 'distrt[examples,vision]'"
        )


@pytest.mark.ci
def test_training_gives_the_losses_of_the_cpu() -> None:
    _assert_passed("training")


@pytest.mark.ci
def test_a_part_of_the_table_of_layers_agrees_with_the_cpu() -> None:
    _assert_passed("layers", "5", "40")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_the_table_of_layers_agrees_with_the_cpu(part: int) -> None:
    _assert_passed("layers", str(part), "8")


@pytest.mark.ci
@pytest.mark.parametrize("part", range(0, PARTS, 8))
def test_a_part_of_the_op_table_agrees_with_the_cpu(part: int) -> None:
    _assert_passed("operations", str(part), str(PARTS), "1")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_op_table_agrees_with_the_cpu(part: int) -> None:
    _assert_passed("operations", str(part), str(PARTS))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("numpy.asarray(cupy.ones(3))", "Implicit conversion to a NumPy array is not allowed"),
        ("cupy.ones(3) + numpy.ones(3)", "Unsupported type <class 'numpy.ndarray'>"),
        ("numpy.insert(cupy.ones(3), 0, 1)", "no implementation found for 'numpy.insert'"),
        ("numpy.bitwise_and(cupy.ones(3), cupy.ones(3))", "Wrong type ((float64, float64))"),
        ("numpy.maximum.accumulate(cupy.ones(3))", "not supported yet"),
        ("cupy.ones(3).flags.writeable", "has no attribute 'writeable'"),
    ],
)
def test_the_fake_refuses_what_cupy_refuses(code: str, words: str) -> None:
    assert words in run_code(code)


def run_code(code: str) -> str:
    """What a line raises where the fake stands for CuPy."""
    ended = run_check("line", code)
    return ended.stdout
