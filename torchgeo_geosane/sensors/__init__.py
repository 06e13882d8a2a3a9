"""Sensors: ordered band sets with centre wavelengths, units and statistics."""

from torchgeo_geosane.sensors.base import Band, Sensor
from torchgeo_geosane.sensors.find import find_sensor, get_sensor, sensors_with, whole_name
from torchgeo_geosane.sensors.known import SENSORS

__all__ = ['SENSORS', 'Band', 'Sensor', 'find_sensor', 'get_sensor', 'sensors_with', 'whole_name']
