"""The published runs are complete and readable, and their models have the right number of parameters."""

from __future__ import annotations

import pytest

from tests.bench import published


def test_every_run_names_a_source_a_model_and_a_gpu() -> None:
    assert len(published.runs()) > 300
    for run in published.runs():
        assert run.source in published.sources()
        assert published.shape(run.model).parameters > 0
        assert published.device(run).count == run.gpus
        assert run.peak_bytes is not None or run.tokens_per_second is not None
        assert (run.peak_bytes is None) or run.peak_kind is not None


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        # llm-foundry's counts at 2,048 positions, which it learns (hidden x 2,048 parameters).
        ("mosaicml/mpt-125m", 125_311_488 - 768 * 2048),
        ("mosaicml/mpt-1b", 1_315_950_592 - 2048 * 2048),
        ("mosaicml/mpt-70b", 64_862_437_376 - 8192 * 2048),
        ("bigcode/gpt_bigcode-santacoder", 1_124_886_528),
        ("microsoft/phi-1_5", 1_418_270_720),
        ("Qwen/Qwen-7B", 7_721_324_544),
        ("meta-llama/Llama-2-7b-hf", 6_738_415_616),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
    ],
)
def test_shapes_have_the_published_parameters(model: str, parameters: int) -> None:
    assert published.shape(model).parameters == parameters
