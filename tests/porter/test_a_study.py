"""A whole small study through three porters, by boxes alone."""

import numpy as np
from town import Town, course

from wardgate.federation import site as people
from wardgate.records.messages import Answer


def test_a_study_is_proposed_signed_asked_and_ended_by_mail_alone(town: Town) -> None:
    study = town.agreed()
    exchange = town.exchange(study)
    run = town.run(study, exchange)
    town.drive(course(run), exchange)
    assert run.federated is not None, run.federated_reason
    assert np.all(np.isfinite(run.federated.beta))
    assert set(run.closings) == {"north", "south", "west"}
    for site, premises in town.premises.items():
        assert town.box(site, "questions").names() == []
        asked = people.questions(premises)
        answers = [town.opened(site, one) for one in town.heard[site]]
        given = [one for one in answers if isinstance(one, Answer)]
        assert len(asked) == len(given)
        assert all([line.event for line in one.outcomes] == ["answer"] for one in asked)
