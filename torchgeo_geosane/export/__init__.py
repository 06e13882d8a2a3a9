"""Writing generated weights in the forms other tools read."""

from torchgeo_geosane.export.formats import FORMATS, check_format, export, provenance_of

__all__ = ['FORMATS', 'check_format', 'export', 'provenance_of']
