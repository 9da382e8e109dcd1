from benchmarks.filters import COSTS, measure


def test_every_configuration_is_measured_over_events_that_its_filters_do_not_refuse() -> None:
    for cost in COSTS:
        measured = measure(cost, rounds=1)
        assert measured.name == cost.name
        assert measured.microseconds >= 0
