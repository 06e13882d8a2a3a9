"""From a scene to a map: a finetuned model over large images, into cloud-optimised GeoTIFFs."""
