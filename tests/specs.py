"""The type of the fixture ``make_spec``, in a module of its own: several folders have a conftest."""

from collections.abc import Callable

from torchgeo_geosane.spec import Spec

MakeSpec = Callable[..., Spec]
