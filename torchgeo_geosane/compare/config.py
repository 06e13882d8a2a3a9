"""What a comparison is: one task, its budget, and everything that varies."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torchgeo_geosane.compare.distillation import DistillationOptions
from torchgeo_geosane.compare.initialisations import INITIALISATIONS, Initialisation, variant
from torchgeo_geosane.compare.material import Material, MergeOptions, SelectionOptions
from torchgeo_geosane.compare.models import identify_model
from torchgeo_geosane.compare.record import METHODS, Method, RunKey
from torchgeo_geosane.compare.results import REFERENCES
from torchgeo_geosane.errors import ComparisonError, did_you_mean
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.spec import Spec

# Raised whenever the same configuration would give other records than before.
_HARNESS = 1
_FROM_LARGER = ('weight_selection', 'pruned')
_NAME = re.compile(r'\w[\w.-]*')


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """One task from several initialisations, over seeds.

    Attributes:
        fit: Task, data and trainer, as the command ``fit`` takes them; its weights, seed, logger
            and checkpoints are the comparison's.
        weights: The generated weights: a name of the catalogue or a ``geosane://`` URL.
        initialisations: What trainings start from: of those of this package, and of the variants.
        variants: Other weights (names or URLs) of the architecture and the bands of ``weights``, by a
            name of your own; each run draws them with its seed.
        seeds: How many; 0, 1, 2 and so on.
        fractions: Shares of the training data, for the data module's ``train_fraction``.
        methods: ``finetune`` trains all weights, ``linear_probe`` all but the backbone's.
        conditioned: Whether BatchNorm is conditioned on training data first, of all starts alike; by
            default it is where the weights or a variant are an average of aligned networks, which has
            lost variance from layer to layer (REPAIR, Jordan et al. 2023, arXiv:2211.08403), and else
            not.
        metric: What is compared: the task logs it as ``val_…`` and ``test_…``.
        mode: Whether more or less of it is better.
        merge: How models are merged.
        selection: How the best of several generated models are found.
        larger: Weights (name or URL) of a larger model of the family, for ``weight_selection``,
            ``pruned`` and ``distilled``.
        distillation: What the larger model teaches, for ``distilled``.
        models: Other models beside the fit's, an ensemble say, by a name of your own: arguments that
            make the fit's model that one. They start as they are written: nothing is loaded.
        references: Initialisations and models that the others are compared with.
    """

    fit: dict[str, Any]
    weights: str
    initialisations: tuple[str, ...] = ('scratch', 'prompt', 'generated')
    variants: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 10
    fractions: tuple[float, ...] = (1.0,)
    methods: tuple[Method, ...] = ('finetune',)
    conditioned: tuple[bool, ...] = ()
    metric: str = 'mIoU'
    mode: Literal['min', 'max'] = 'max'
    merge: MergeOptions = field(default_factory=MergeOptions)
    selection: SelectionOptions = field(default_factory=SelectionOptions)
    larger: str | None = None
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    references: tuple[str, ...] = REFERENCES

    def __post_init__(self) -> None:
        """Check what can be checked before anything is trained.

        Raises:
            ComparisonError: If there is nothing to compare, or something unknown.
            SpecError: If the weights are unknown.
        """
        self._check_variants()
        starts = [*INITIALISATIONS, *self.variants]
        for known, asked in ((starts, self.initialisations), (METHODS, self.methods)):
            for name in asked:
                if name not in known:
                    raise ComparisonError(f'unknown {name!r}{did_you_mean(name, known)}')
        if not self.conditioned:
            specs = (self.material.spec, *self._variants.values())
            aligned = any(spec.averages_aligned for spec in specs)
            object.__setattr__(self, 'conditioned', (aligned,))
        self._check_models()
        varied = (self.starts, self.fractions, self.methods, self.conditioned)
        if self.seeds < 1 or not all(varied) or any(len(set(each)) < len(each) for each in varied):
            raise ComparisonError(
                'a comparison wants 1 or more seeds, and 1 or more different initialisations, '
                'fractions, methods and choices of conditioning'
            )
        if not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ComparisonError(f'fractions must be above 0, up to 1, not {self.fractions}')
        for part in ('model', 'data'):
            if part not in self.fit:
                raise ComparisonError(f'the fit has no {part!r}: write it as for the command `fit`')
        for name in _FROM_LARGER:
            if name in self.initialisations and self.larger is None:
                raise ComparisonError(f'{name} needs a larger model of the family: larger: …')
        if 'distilled' in self.initialisations:
            self._check_distillation()
        for name in self.starts:
            self.configuration(name)

    def _check_variants(self) -> None:
        own = self.material.spec
        for name, spec in self._variants.items():
            _check_name(name, 'variant', {'an initialisation': INITIALISATIONS})
            if (spec.architecture, spec.sensor) != (own.architecture, own.sensor):
                raise ComparisonError(
                    f'variant {name!r} is of {spec.architecture} for {spec.sensor}, the weights are of '
                    f'{own.architecture} for {own.sensor}: what is another model is named in models: …'
                )

    def _check_models(self) -> None:
        taken = {'an initialisation': INITIALISATIONS, 'a variant': self.variants}
        for name, arguments in self.models.items():
            _check_name(name, 'model', taken)
            if not isinstance(arguments, Mapping) or not arguments:
                raise ComparisonError(
                    f"model {name!r} needs the arguments that make the fit's model another one, "
                    f'e.g. models: {{{name}: {{backbone: …, weights: true}}}}'
                )
        known = {*self.starts, *REFERENCES}
        for name in self.references:
            if name not in known:
                raise ComparisonError(
                    f'reference {name!r} is neither an initialisation nor a model of the comparison'
                    f'{did_you_mean(name, known)}'
                )

    def _check_distillation(self) -> None:
        options = self.distillation
        if options.model is not None:
            if options.model not in self.models:
                raise ComparisonError(
                    f'the teacher {options.model!r} is none of the models'
                    f'{did_you_mean(options.model, self.models)}'
                )
        elif self.larger is None:
            raise ComparisonError(
                'distilled needs a larger model of the family, larger: …, or one of the models, '
                'distillation: {model: …}'
            )
        elif not options.teacher:
            raise ComparisonError(
                "distilled needs what makes the fit's model the larger one, "
                'e.g. distillation: {teacher: {backbone: …}}'
            )
        if options.start not in INITIALISATIONS or options.start == 'distilled':
            raise ComparisonError(
                f'a student cannot start from {options.start!r}'
                f'{did_you_mean(options.start, INITIALISATIONS)}'
            )

    @property
    def starts(self) -> tuple[str, ...]:
        """All that is compared: initialisations of the fit's model, then the other models."""
        return *self.initialisations, *self.models

    @cached_property
    def _variants(self) -> dict[str, Spec]:
        return {name: find_spec(weights) for name, weights in self.variants.items()}

    def initialisation(self, name: str) -> Initialisation:
        """One of the package's initialisations, or of the variants."""
        spec = self._variants.get(name)
        return INITIALISATIONS[name] if spec is None else variant(name, spec)

    @cached_property
    def material(self) -> Material:
        """What the initialisations are made of."""
        larger = None if self.larger is None else find_spec(self.larger)
        return Material(
            find_spec(self.weights), self.merge, self.selection, larger, self.distillation
        )

    def runs(self) -> Iterator[RunKey]:
        """All runs, seed by seed, so that an interrupted comparison has whole pairs."""
        for seed in range(self.seeds):
            for fraction in self.fractions:
                for method in self.methods:
                    for conditioned in self.conditioned:
                        for name in self.starts:
                            yield RunKey(name, seed, fraction, method, conditioned)

    def configuration(self, start: str) -> str:
        """Hash of what determines the runs of an initialisation or a model, apart from their keys.

        The files of the data and the versions of libraries are not part of it.
        """
        if start in self.models:
            return self._hash(identify_model(self.models[start]))
        more = [self.initialisation(start).identify(self.material)]
        if start == 'distilled' and self.distillation.model is not None:
            more.append(identify_model(self.models[self.distillation.model]))
        return self._hash(*more)

    @property
    def task(self) -> str:
        """Hash of what the runs of all initialisations share."""
        return self._hash()

    def _hash(self, *more: object) -> str:
        known = [_HARNESS, self.fit, self.metric, self.mode, *more]
        text = json.dumps(known, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_name(name: str, what: str, taken: Mapping[str, Collection[str]]) -> None:
    """Refuse what cannot name a variant or a model: it names files, and is told from other names."""
    if not _NAME.fullmatch(name) or any(name in names for names in taken.values()):
        raise ComparisonError(
            f'{name!r} cannot be the name of a {what}: take letters, digits and ".", "-", "_", and no '
            f'name of {" or ".join(taken)}'
        )
