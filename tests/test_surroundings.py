"""Weights do not depend on where they are asked for: modes, switches and threads around the call."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from lightning import Fabric
from safetensors.torch import save_file
from specs import MakeSpec
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from torchgeo_geosane import cache
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.foundry.numerics import plain_numerics
from torchgeo_geosane.foundry.surroundings import isolated
from torchgeo_geosane.generate import create, generate, take_prompt
from torchgeo_geosane.provenance import digest
from torchgeo_geosane.spec import Spec

Surroundings = Callable[[], AbstractContextManager[object]]


@contextmanager
def switched(
    get: Callable[[], object], switch: Callable[[object], object], value: object
) -> Iterator[None]:
    before = get()
    switch(value)
    try:
        yield
        assert get() == value, 'the surroundings were changed'
    finally:
        switch(before)


def default_dtype(dtype: torch.dtype) -> Surroundings:
    return lambda: switched(torch.get_default_dtype, torch.set_default_dtype, dtype)  # type: ignore[arg-type]


@contextmanager
def lightning(precision: str, empty: bool) -> Iterator[None]:
    fabric = Fabric(accelerator='cpu', devices=1, precision=precision)  # type: ignore[arg-type]
    with fabric.init_module(empty_init=empty):
        yield


@contextmanager
def flushed_denormals() -> Iterator[None]:
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


@contextmanager
def without_onednn() -> Iterator[None]:
    with torch.backends.mkldnn.flags(enabled=False):
        yield


SURROUNDINGS: dict[str, Surroundings] = {
    'bfloat16': default_dtype(torch.bfloat16),
    'float16': default_dtype(torch.float16),
    'float64': default_dtype(torch.float64),
    'meta': lambda: torch.device('meta'),
    'default device': lambda: switched(
        torch.get_default_device,
        torch.set_default_device,  # type: ignore[arg-type]
        torch.device('meta'),
    ),
    'inference mode': torch.inference_mode,
    'no grad': torch.no_grad,
    'autocast': lambda: torch.autocast('cpu', torch.bfloat16),
    'autocast of float16': lambda: torch.autocast('cpu', torch.float16),
    'anomalies': torch.autograd.detect_anomaly,
    'deterministic': lambda: switched(
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,  # type: ignore[arg-type]
        True,
    ),
    'medium precision': lambda: switched(
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,  # type: ignore[arg-type]
        'medium',
    ),
    'plain attention': lambda: sdpa_kernel(SDPBackend.MATH),
    'no oneDNN': without_onednn,
    'denormals': flushed_denormals,
    'fake tensors': FakeTensorMode,
    'Lightning bf16-true': lambda: lightning('bf16-true', empty=False),
    'Lightning 64-true': lambda: lightning('64-true', empty=False),
    'Lightning 16-true, empty': lambda: lightning('16-true', empty=True),
    'Lightning 32-true, empty': lambda: lightning('32-true', empty=True),
}


@pytest.fixture
def specs(make_spec: MakeSpec, tmp_path: Path) -> list[Spec]:
    """Tensors that are generated, adapted, copied, mixed and initialised; both kinds of tokens."""
    tensors = get_architecture('test_vit', 6).initialise(5)
    lacking = ('norm.weight', 'blocks.0.attn.qkv.bias')
    tensors = {name: tensor for name, tensor in tensors.items() if name not in lacking}
    save_file(tensors, tmp_path / 'p.safetensors')
    prompt = f'file:{tmp_path / "p.safetensors"}@sentinel2_6'
    mixed = replace(make_spec('test_vit', prompt=prompt), prompts=(prompt, 'random'), sampler=None)
    return [
        make_spec('test_resnet'),
        make_spec('test_efficientnet', 'rgb', foundry='matrices', precision='bfloat16'),
        make_spec('test_vit', 'sentinel2_all', prompt, foundry='matrices'),
        replace(mixed, prompts=(prompt, prompt)),
    ]


@pytest.fixture
def right(specs: list[Spec]) -> list[str]:
    return [digest(create(spec, [spec.seed])[0].tensors) for spec in specs]


@pytest.mark.parametrize('name', SURROUNDINGS)
def test_surroundings_have_no_say(name: str, specs: list[Spec], right: list[str]) -> None:
    get_architecture.cache_clear()
    random = torch.get_rng_state()
    made, hits = [], []
    with SURROUNDINGS[name]():
        for spec in specs:
            made.append(generate(spec))
            hits.append(generate(spec))
        prompt = take_prompt(specs[2])
    assert torch.equal(torch.get_rng_state(), random)
    for results in (made, hits, [generate(spec) for spec in specs]):
        assert [digest(result.tensors) for result in results] == right
        for tensor in itertools.chain(*(result.tensors.values() for result in results)):
            assert not tensor.is_inference()
            assert not tensor.requires_grad
            assert type(tensor) is torch.Tensor
    assert digest(prompt) == digest(take_prompt(specs[2]))


@pytest.mark.parametrize('name', ['bfloat16', 'float64', 'meta', 'Lightning 16-true, empty'])
@pytest.mark.parametrize(
    'architecture',
    # Buffers from linspace, tensors of a number, integers divided, tensors drawn by torch.randn.
    ['csatv2', 'nfnet_f0', 'hgnet_tiny', 'pit_ti_224', 'volo_d1_224', 'swinv2_cr_tiny_ns_224'],
)
def test_fresh_tensors(name: str, architecture: str) -> None:
    get_architecture.cache_clear()
    with SURROUNDINGS[name]():
        found = get_architecture(architecture)
        tensors = found.initialise(3)
    torch.manual_seed(3)
    model = timm.create_model(architecture, num_classes=0)
    wanted = model.state_dict()
    assert found.shapes == {key: (tuple(t.shape), t.dtype) for key, t in wanted.items()}
    assert digest(tensors) == digest(wanted), 'what timm itself draws'


def test_a_constructor_that_asks_for_the_surroundings() -> None:
    from torchgeo_geosane.construction import construct

    class Asking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer('asked', torch.zeros(2, dtype=torch.get_default_dtype()))
            self.register_buffer('divided', torch.arange(3) / 7)
            self.register_buffer('number', torch.tensor(0.1))
            self.register_buffer('turned', torch.arange(3) * 1j)
            self.register_buffer('drawn', torch.bernoulli(torch.full((9,), 0.5)))
            self.register_buffer('order', torch.randperm(5))
            self.register_buffer('kept', torch.zeros(2, dtype=torch.float16))

    plain = construct(Asking, seed=1).state_dict()
    for dtype in (torch.float64, torch.bfloat16):
        with default_dtype(dtype)():
            assert digest(construct(Asking, seed=1).state_dict()) == digest(plain)
    assert {str(tensor.dtype) for tensor in plain.values()} == {
        'torch.float32',
        'torch.complex64',
        'torch.int64',
        'torch.float16',
    }


# Threads.


@pytest.mark.parametrize('shared', [True, False])
def test_threads_at_once(
    shared: bool, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    specs = [make_spec('test_resnet', 'rgb', seed=seed) for seed in range(4)]
    right = [digest(generate(spec).tensors) for spec in specs]
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / 'another'))
    torch.manual_seed(7)
    before = torch.get_rng_state()

    def ask(number: int) -> str:
        spec = specs[number % len(specs)]
        made = generate(spec) if shared else create(spec, [spec.seed])[0]
        return digest(made.tensors)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(16)))
    assert found == right * 4
    assert torch.equal(torch.get_rng_state(), before)


def test_another_thread_builds_under_other_defaults(make_spec: MakeSpec) -> None:
    """What generates and what builds a model at the same time do not see each other."""
    spec = make_spec('test_resnet', 'rgb')
    right = digest(create(spec, [0])[0].tensors)
    over = threading.Event()
    seen = set()

    def build() -> None:
        while not over.is_set():
            with switched(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16):  # type: ignore[arg-type]
                seen.add(nn.Linear(3, 3).weight.dtype)

    other = threading.Thread(target=build)
    other.start()
    try:
        found = {digest(create(spec, [0])[0].tensors) for _ in range(5)}
    finally:
        over.set()
        other.join()
    assert found == {right}
    assert seen == {torch.bfloat16}


# The thread itself.


def test_errors_and_nested_calls_pass_through() -> None:
    @isolated
    def outer(number: int) -> int:
        return inner(number) + 1

    @isolated
    def inner(number: int) -> int:
        if number < 0:
            raise ValueError('negative')
        return threading.get_ident()

    assert outer(1) != threading.get_ident()
    with pytest.raises(ValueError, match='negative'):
        outer(-1)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, as in a terminal: what a shell runs in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_the_thread(ctrl_c: None) -> None:
    stopped = threading.Event()

    @isolated
    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)  # As the terminal does: for the main thread.
        try:
            while True:
                time.sleep(0.001)
        finally:
            stopped.set()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert stopped.is_set()


def test_switches_are_set_back_by_the_last() -> None:
    with switched(
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,  # type: ignore[arg-type]
        'medium',
    ):
        first, second = plain_numerics(), plain_numerics()
        first.__enter__()
        second.__enter__()
        assert torch.get_float32_matmul_precision() == 'highest'
        first.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == 'highest'
        second.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == 'medium'
        with plain_numerics():
            child = os.fork()
            if not child:
                os._exit(torch.get_float32_matmul_precision() != 'medium')
            assert os.waitpid(child, 0)[1] == 0, 'a forked process has them as they were'


def test_nothing_is_written_where_nothing_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(value: object) -> None:
        raise AssertionError(value)

    monkeypatch.setattr(torch, 'set_float32_matmul_precision', refuse)
    monkeypatch.setattr(torch.backends.cuda, 'enable_flash_sdp', refuse)
    with plain_numerics():
        pass
