from torchgeo_geosane.providers.on_demand import OnDemand


def find(name: str, entry: OnDemand) -> object:
    """How TorchGeo's get_weight looks."""
    return next((member for member in entry if name == str(member)), None)


def test_what_is_asked_for_is_made() -> None:
    entry = OnDemand(lambda name: name if name.startswith('ours:') else None)
    assert find('ours:a', entry) == 'ours:a'
    assert find('ours:b', entry) == 'ours:b'
    assert find('theirs', entry) is None


def test_who_compares_nothing_gets_nothing() -> None:
    asked = []
    entry = OnDemand(asked.append)
    assert len(list(entry)) == 1
    assert asked == ['']
