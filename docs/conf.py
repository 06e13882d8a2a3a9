"""Configuration of the documentation, which is built without network.

sphinx-build -W -b html docs docs/_build/html
"""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / '_ext')]

import torchgeo_geosane.tasks  # noqa: E402

project = 'torchgeo-geosane'
author = 'the torchgeo-geosane contributors'
copyright = author  # noqa: A001
version = release = torchgeo_geosane.__version__

extensions = [
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.mathjax',
    'myst_nb',
    'geosane_docs',
]
# The benchmarks' reports are included by the page measurements.md.
exclude_patterns = ['_build', 'benchmarks']

html_theme = 'furo'
html_title = f'torchgeo-geosane {version}'

myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
# TorchGeo 0.8 has no masked autoencoder; ours, which extends it, is documented all the same.
autodoc_mock_imports = [] if find_spec('torchgeo.tasks') else ['torchgeo.tasks']
napoleon_use_ivar = True
napoleon_use_rtype = False

# Tutorials carry no outputs: they are run here, every time.
nb_execution_mode = 'force'
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_excludepatterns = []
# Warnings of other packages, of imports say, tell a reader nothing.
nb_output_stderr = 'remove'
