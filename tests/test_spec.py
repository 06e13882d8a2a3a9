import itertools
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchgeo_geosane.errors import ArchitectureError, GeoSANEError, SensorError, SpecError
from torchgeo_geosane.foundry.sampling import (
    KDE,
    Average,
    JointKDE,
    Linear,
    MeanKDE,
    Prior,
    Reconstruct,
    Spherical,
)
from torchgeo_geosane.sensors import SENSORS
from torchgeo_geosane.spec import Spec

URL = 'geosane://resnet50?sensor=sentinel2_all'

numbers = st.floats(0, 100)
fractions = st.floats(0, 1)
# Whatever a path may hold.
names = st.text(st.characters(exclude_categories=['Cs']), min_size=1)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    sampler = draw(
        st.one_of(
            st.builds(KDE, numbers),
            st.builds(JointKDE, numbers),
            st.builds(MeanKDE, numbers),
            st.builds(Prior, numbers),
            st.builds(Linear, fractions),
            st.builds(Spherical, fractions),
            st.just(Reconstruct()),
            st.just(Average()),
        )
    )
    count = {'linear': 2, 'spherical': 2, 'prior': 1, 'reconstruct': 1}.get(
        sampler.name, draw(st.integers(1, 3))
    )
    return Spec(
        draw(st.sampled_from(['resnet18', 'tf_efficientnet_b4', 'vit_small_patch16_224'])),
        draw(st.sampled_from(sorted(SENSORS))),
        tuple(draw(st.lists(names, min_size=count, max_size=count))),
        draw(names),
        sampler,
        draw(st.sampled_from(['float32', 'bfloat16'])),
        draw(st.integers(0, 2**63 - 1)),
    )


@given(specs())
def test_a_url_says_everything(spec: Spec) -> None:
    assert Spec.parse(spec.url) == spec
    assert Spec.parse(spec.url).url == spec.url
    assert spec.url.isascii()
    assert ' ' not in spec.url


@given(specs(), st.randoms())
def test_one_url_whatever_the_order(spec: Spec, random: Random) -> None:
    head, _, query = spec.url.partition('?')
    parameters = query.split('&')
    prompts = [parameter for parameter in parameters if parameter.startswith('prompt=')]
    random.shuffle(parameters)
    # The order of the prompts means something.
    ordered = iter(prompts)
    shuffled = [next(ordered) if p.startswith('prompt=') else p for p in parameters]
    other = Spec.parse(f'{head}?{"&".join(shuffled)}')
    assert other.url == spec.url
    assert other.key(['a', 'b']) == spec.key(['a', 'b'])


def test_the_shortest_url() -> None:
    spec = Spec.parse(URL)
    assert spec == Spec('resnet50', 'sentinel2_all')
    assert spec.prompts == ('torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO',)
    assert spec.url == (
        'geosane://resnet50?sensor=sentinel2_all&prompt=torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO'
        '&foundry=embedded&sampler=kde&bandwidth=0.2&precision=float32&seed=0'
    )
    assert Spec.parse(f'{URL}&bandwidth=2e-1').url == spec.url
    assert Spec.parse(f'{URL}&bandwidth=-0').url == Spec.parse(f'{URL}&bandwidth=0').url


PACKAGED = 'geosane://tf_efficientnet_b4?sensor=sentinel2_6'


def test_around_several_prompts_the_default_is_their_average() -> None:
    spec = Spec.parse(PACKAGED)
    assert spec == Spec('tf_efficientnet_b4', 'sentinel2_6')
    assert len(spec.prompts) == 4
    assert spec.sampler == MeanKDE()
    assert Spec.parse(f'{PACKAGED}&bandwidth=0.1').sampler == MeanKDE(0.1)
    assert Spec.parse(f'{PACKAGED}&sampler=kde').sampler == KDE()
    assert Spec.parse(f'{PACKAGED}&prompt=ukis:6b_l2a').sampler == KDE()
    assert Spec.parse(f'{URL}&prompt=a&prompt=b').sampler == MeanKDE()


def test_what_is_drawn_without_a_prompt_has_the_foundrys_reference() -> None:
    spec = Spec.parse(f'{PACKAGED}&sampler=prior&spread=0.25')
    assert (spec.sampler, spec.prompts) == (Prior(0.25), ('reference',))
    assert spec.averages  # The statistics of norms are the reference's.
    assert spec.averages_aligned
    assert Spec.parse(f'{PACKAGED}&sampler=prior&prompt=ukis:6b_l2a').prompts == ('ukis:6b_l2a',)
    assert 'sampler=prior&spread=0.25' in spec.url


@pytest.mark.parametrize(
    ('sampler', 'count'), [('reconstruct', 1), ('linear', 2), ('kde', 4), ('dirichlet', 4)]
)
def test_default_prompts_are_as_many_as_the_sampler_takes(sampler: str, count: int) -> None:
    spec = Spec.parse(f'{PACKAGED}&sampler={sampler}')
    assert spec.prompts == Spec.parse(PACKAGED).prompts[:count]


def test_a_path_of_any_spelling_survives(tmp_path: Path) -> None:
    path = f'file:{tmp_path}/a b&c=d+e%20#f?.pth'
    assert Spec.parse(Spec('resnet18', 'rgb', (path,)).url).prompts == (path,)


def test_the_key_tells_specs_and_what_they_stand_for_apart() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {'seed': 1},
        {'sampler': KDE(0.1)},
        {'sampler': JointKDE()},
        {'precision': 'bfloat16'},
        {'foundry': 'HSG-AIML/GeoSANE'},
        {'prompts': ('random',)},
    ]
    keys = [Spec('resnet18', 'rgb', **fields).key(['f', 'p']) for fields in variants]
    keys += [Spec('resnet18', 'rgbn').key(['f', 'p']), Spec('resnet50', 'rgb').key(['f', 'p'])]
    keys += [Spec('resnet18', 'rgb').key(other) for other in (['g', 'p'], ['f', 'q'], ['f'])]
    assert len(set(keys)) == len(keys)
    assert Spec('resnet18', 'rgb').key(['f', 'p']) == keys[0]
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


def test_only_keys_of_aligned_weights_tell_how_they_were_aligned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, aligned = (Spec('resnet18', 'rgb', align=align) for align in (False, True))
    before = [spec.key(['f', 'p']) for spec in (plain, aligned)]
    monkeypatch.setattr('torchgeo_geosane.spec.ALIGNMENT', 0)
    assert plain.key(['f', 'p']) == before[0]
    assert aligned.key(['f', 'p']) != before[1]


@pytest.mark.parametrize(
    ('url', 'message'),
    [
        ('', 'not a GeoSANE URL'),
        ('resnet50', 'not a GeoSANE URL'),
        ('https://resnet50?sensor=rgb', 'not a GeoSANE URL'),
        ('geosane:resnet50?sensor=rgb', 'not a GeoSANE URL'),
        ('geosane://?sensor=rgb', 'not a GeoSANE URL'),
        ('geosane://[resnet50?sensor=rgb', 'not a GeoSANE URL'),
        ('geosane://resnet50/x?sensor=rgb', 'not a GeoSANE URL'),
        ('geosane://resnet50?sensor=rgb#x', 'not a GeoSANE URL'),
        ('geosane://resnet50', r'names no sensor: add \?sensor='),
        ('geosane://resnet50?', 'names no sensor'),
        ('geosane://resnet50?sensor', 'malformed parameters'),
        ('geosane://resnet50?sensor=rgb&&', 'malformed parameters'),
        ('geosane://resnet50?sensor=', "'sensor' has no value"),
        ('geosane://resnet50?sensor=rgb&sensor=rgb', "'sensor' is given twice"),
        ('geosane://resnet50?sensor=rgb&sead=1', "unknown parameter 'sead'.*did you mean .*'seed'"),
        (f'{URL}&seed=-1', "seed must be an integer from 0 to .*, not '-1'"),
        (f'{URL}&seed=1.0', "not '1.0'"),
        (f'{URL}&seed=one', "not 'one'"),
        (f'{URL}&seed=٣', 'seed must be'),
        (f'{URL}&seed=9223372036854775808', 'seed must be'),
        (f'{URL}&seed={"9" * 5000}', 'seed must be'),
        (f'{URL}&bandwidth=wide', "bandwidth must be a number, not 'wide'"),
        (f'{URL}&bandwidth=-0.1', 'bandwidth must be a number from 0 to 100, not -0.1'),
        (f'{URL}&bandwidth=nan', 'not nan'),
        (f'{URL}&bandwidth=inf', 'not inf'),
        (f'{URL}&bandwidth=1e300', 'not 1e\\+300'),
        (f'{URL}&fraction=0.5', "sampler 'kde' takes no fraction"),
        (f'{PACKAGED}&fraction=0.5', "sampler 'kde_mean' takes no fraction"),
        (f'{URL}&sampler=kd', "unknown sampler 'kd': did you mean 'kde'"),
        (f'{URL}&sampler=linear', "'linear' takes 2 prompts, it was given 1"),
        (
            f'{URL}&sampler=linear&prompt=a&prompt=b&fraction=1.5',
            'fraction .* from 0 to 1, not 1.5',
        ),
        (
            f'{URL}&sampler=reconstruct&prompt=a&prompt=b',
            "'reconstruct' takes 1 prompt, .* 2: a, b",
        ),
        (f'{PACKAGED}&sampler=dirichlet&concentration=0', 'from 0.01 to 1000, not 0'),
        (f'{URL}&sampler=dirichlet', "'dirichlet' mixes several prompts, and only one is named"),
        (f'{URL}&sampler=prior&prompt=a&prompt=b', "'prior' takes 1 prompt, it was given 2"),
        (f'{URL}&sampler=prior&spread=-1', 'spread must be a number from 0 to 100'),
        (f'{URL}&spread=1', "sampler 'kde' takes no spread"),
        (f'{URL}&precision=float23', "unknown precision 'float23': did you mean 'float32'"),
    ],
)
def test_malformed(url: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Spec.parse(url)


@settings(max_examples=25)  # The nearest of 1300 names take their time.
@given(st.text())
def test_any_text_is_a_spec_or_an_error_of_ours(text: str) -> None:
    for url in (text, f'geosane://{text}', f'geosane://resnet50?{text}', f'{URL}&seed={text}'):
        with suppress(GeoSANEError):
            assert Spec.parse(url).url.startswith('geosane://')


@pytest.mark.parametrize(
    ('architecture', 'sensor', 'error', 'message'),
    [
        ('resnet5O', 'rgb', ArchitectureError, "unknown architecture 'resnet5O': .*'resnet50'"),
        ('', 'rgb', ArchitectureError, 'unknown architecture'),
        ('resnet50.a1_in1k', 'rgb', ArchitectureError, "'timm:resnet50.a1_in1k' as the prompt"),
        ('ResNet50', 'rgb', ArchitectureError, "did you mean 'resnet50"),
        ('resnet50', 'sentinel2', SensorError, "unknown sensor 'sentinel2': .*'sentinel2_all'"),
        ('resnet50', 'hyperion', SensorError, "unknown sensor 'hyperion'; known: "),
    ],
)
def test_unknown_names(
    architecture: str, sensor: str, error: type[SpecError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Spec(architecture, sensor)


@pytest.mark.parametrize('seed', [-1, 2**63, 1.0, '1', True, None])
def test_seeds_are_integers(seed: Any) -> None:
    with pytest.raises(SpecError, match='the seed must be an integer'):
        Spec('resnet18', 'rgb', seed=seed)


@pytest.mark.parametrize('bandwidth', ['0.2', None, float('nan'), float('-inf')])
def test_bandwidths_are_numbers(bandwidth: Any) -> None:
    with pytest.raises(SpecError, match='bandwidth must be a number'):
        Spec('resnet18', 'rgb', sampler=KDE(bandwidth))


@settings(max_examples=20)
@given(st.permutations(sorted(SENSORS)))
def test_target_is_the_sensor(order: list[str]) -> None:
    for sensor, other in itertools.pairwise(order):
        spec = Spec('resnet18', sensor, ('random',))
        assert spec.target is SENSORS[sensor]
        assert spec.url != Spec('resnet18', other, ('random',)).url
        assert urlsplit(spec.url).netloc == 'resnet18'
