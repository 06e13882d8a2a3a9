import pytest
import torch


@pytest.fixture(params=['cpu', 'cuda'])
def device(request: pytest.FixtureRequest) -> torch.device:
    """The CPU, and a GPU where there is one."""
    if request.param == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no GPU')
    return torch.device(request.param)
