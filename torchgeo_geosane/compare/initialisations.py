"""What a training can start from. All see the sensor's bands through the same adaptation of stems."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.callbacks import SelectCandidates
from torchgeo_geosane.callbacks.candidates import SELECTION, average
from torchgeo_geosane.compare import arithmetic
from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.compare.greedy_soup import GreedySoup
from torchgeo_geosane.compare.material import Material, Start
from torchgeo_geosane.compare.pruning import prune
from torchgeo_geosane.errors import ComparisonError
from torchgeo_geosane.foundry.sampling import KDE, Average, Reconstruct, Sampler
from torchgeo_geosane.generate import generate, identify, identify_prompt, take_prompt
from torchgeo_geosane.prompts import keeps_reference
from torchgeo_geosane.spec import Spec


@dataclass(frozen=True)
class Initialisation:
    """One way to start.

    Attributes:
        name: What a configuration calls it.
        make: Makes the start of a seed.
        identify: All that determines the start, apart from the seed, as text.
    """

    name: str
    make: Callable[[Material, int], Start]
    identify: Callable[[Material], str]


def _scratch(material: Material, seed: int) -> Start:
    return Start()


def _prompt(material: Material, seed: int) -> Start:
    return Start(_prompt_state(material.spec, material.spec.prompts[0], seed))


def _reconstruction(material: Material, seed: int) -> Start:
    # Nothing is drawn: one file in the cache serves all seeds.
    return Start(generate(_first(material.spec, Reconstruct(), seed=0)).tensors)


def _prompt_noise(material: Material, seed: int) -> Start:
    around = _around_one(material.spec, seed)
    # In the order of what is drawn around it, where that is another.
    prompt = generate(replace(around, sampler=Average(), seed=0)).tensors
    return Start(arithmetic.with_equal_noise(prompt, generate(around).tensors, seed))


def _weight_selection(material: Material, seed: int) -> Start:
    spec = material.spec
    target = get_architecture(spec.architecture, spec.target.in_chans).shapes
    return Start(arithmetic.select(_larger_state(material, seed), target))


def _pruned(material: Material, seed: int) -> Start:
    spec = material.spec
    state = _larger_state(material, seed)
    return Start(prune(state, spec.architecture, spec.target.in_chans))


def _distilled(material: Material, seed: int) -> Start:
    start = INITIALISATIONS[material.distillation.start].make(material, seed)
    return replace(start, taught=True)


def _larger_state(material: Material, seed: int) -> State:
    spec, larger = material.spec, material.larger
    if larger is None:
        raise ComparisonError('this start needs a larger model of the family: larger: …')
    return _prompt_state(replace(larger, sensor=spec.sensor), larger.prompts[0], seed)


def _soup(material: Material, seed: int) -> Start:
    return Start(average(_models(material, seed)))


def _greedy_soup(material: Material, seed: int) -> Start:
    chosen = GreedySoup(_models(material, seed), material.spec, material.selection.batches)
    return Start(callbacks=(chosen,))


def _ties(material: Material, seed: int) -> Start:
    models = _models(material, seed)
    density = material.merge.ties_density
    return Start(arithmetic.ties(models, _base(material, models, seed), density))


def _dare(material: Material, seed: int) -> Start:
    models = _models(material, seed)
    density = material.merge.dare_density
    return Start(arithmetic.dare(models, _base(material, models, seed), density, seed))


def _generated(material: Material, seed: int) -> Start:
    return Start(_generate(material, seed))


def _generated_one_prompt(material: Material, seed: int) -> Start:
    return Start(generate(_around_one(material.spec, seed)).tensors)


def _generated_best(material: Material, seed: int) -> Start:
    return _select(material, seed, keep=1)


def _generated_average(material: Material, seed: int) -> Start:
    return _select(material, seed, keep=material.selection.keep)


def _select(material: Material, seed: int, keep: int) -> Start:
    options = material.selection
    # Seeds of a comparison share no candidate.
    spec = replace(material.spec, seed=seed * options.candidates)
    chosen = SelectCandidates(options.candidates, keep, batches=options.batches)
    return Start(callbacks=(chosen,), spec=spec)


def _generate(material: Material, seed: int) -> State:
    return generate(replace(material.spec, seed=seed)).tensors


def _models(material: Material, seed: int) -> list[State]:
    names = material.merge.prompts or material.spec.prompts
    return [_prompt_state(material.spec, name, seed) for name in names]


def _base(material: Material, models: list[State], seed: int) -> State:
    base = material.merge.base
    return average(models) if base is None else _prompt_state(material.spec, base, seed)


def _prompt_state(spec: Spec, prompt: str, seed: int) -> State:
    return take_prompt(_of(spec, prompt, seed))


def _of(spec: Spec, prompt: str, seed: int) -> Spec:
    """The spec with one prompt, which the foundry only reconstructs."""
    return replace(spec, prompts=(prompt,), sampler=Reconstruct(), seed=seed)


def _around_one(spec: Spec, seed: int) -> Spec:
    """The spec with its first prompt alone; as it is where that is its only one."""
    if len(spec.prompts) == 1:
        return replace(spec, seed=seed)
    return _first(spec, KDE(getattr(spec.sampler, 'bandwidth', KDE().bandwidth)), seed)


def _first(spec: Spec, sampler: Sampler, seed: int) -> Spec:
    """The spec with its first prompt alone, aligned where the foundry keeps what it is aligned to."""
    align = spec.align and keeps_reference(spec.foundry, spec.architecture)
    return replace(spec, prompts=spec.prompts[:1], sampler=sampler, align=align, seed=seed)


def _id_scratch(material: Material) -> str:
    return ''


def _id_prompt(material: Material) -> str:
    return identify_prompt(_of(material.spec, material.spec.prompts[0], 0))


def _id_reconstruction(material: Material) -> str:
    return identify(_first(material.spec, Reconstruct(), 0))


def _id_generated(material: Material) -> str:
    return identify(replace(material.spec, seed=0))


def _id_around_one(material: Material) -> str:
    return identify(_around_one(material.spec, 0))


def _id_selected(material: Material) -> str:
    return f'{_id_generated(material)} {material.selection} {SELECTION}'


def _id_merged(material: Material) -> str:
    names = [*(material.merge.prompts or material.spec.prompts), material.merge.base]
    keys = [identify_prompt(_of(material.spec, name, 0)) for name in names if name]
    return f'{keys} {material.merge}'


def _id_greedy(material: Material) -> str:
    return f'{_id_merged(material)} {material.selection.batches} {SELECTION}'


def _id_larger(material: Material) -> str:
    larger = material.larger
    key = '' if larger is None else identify_prompt(larger)
    return f'{key} {material.spec.sensor}'


def _id_distilled(material: Material) -> str:
    start = INITIALISATIONS[material.distillation.start].identify(material)
    return f'{_id_larger(material)} {material.distillation} {start}'


INITIALISATIONS = {
    each.name: each
    for each in (
        Initialisation('scratch', _scratch, _id_scratch),
        Initialisation('prompt', _prompt, _id_prompt),
        Initialisation('reconstruction', _reconstruction, _id_reconstruction),
        Initialisation('prompt_noise', _prompt_noise, _id_around_one),
        Initialisation('weight_selection', _weight_selection, _id_larger),
        Initialisation('pruned', _pruned, _id_larger),
        Initialisation('distilled', _distilled, _id_distilled),
        Initialisation('soup', _soup, _id_merged),
        Initialisation('greedy_soup', _greedy_soup, _id_greedy),
        Initialisation('ties', _ties, _id_merged),
        Initialisation('dare', _dare, _id_merged),
        Initialisation('generated', _generated, _id_generated),
        Initialisation('generated_one_prompt', _generated_one_prompt, _id_around_one),
        Initialisation('generated_best', _generated_best, _id_selected),
        Initialisation('generated_average', _generated_average, _id_selected),
    )
}


def variant(name: str, spec: Spec) -> Initialisation:
    """Start from other weights than the comparison's, with the run's seed."""

    def identify_spec(material: Material) -> str:
        if isinstance(spec.sampler, Average) and not spec.align:  # No foundry has a part in it.
            return str([identify_prompt(_of(spec, prompt, 0)) for prompt in spec.prompts])
        return identify(replace(spec, seed=0))

    def make(material: Material, seed: int) -> Start:
        return Start(generate(replace(spec, seed=seed)).tensors)

    return Initialisation(name, make, identify_spec)
