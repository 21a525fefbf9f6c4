"""A checkpoint of few performances goes on with more."""

from dataclasses import replace

import pytest
import torch

from ripieno_training.networks import Prior, UNet
from ripieno_training.train.growth import NONE, grown, instrument_sources, known, order, performance_sources
from ripieno_training.train.run import Schedule, optimiser_of
from ripieno_training.vocabulary import Vocabulary

OLD = Vocabulary(
    performances=("grand", "quartet"),
    instruments=("piano", "violin", "cello"),
    rooms=("hall", "church"),
    players=(("piano",), ("violin", "cello")),
    programs=(0, 40, 42),
)
NEW = Vocabulary(
    performances=("trio", "quartet", "drums", "grand", "duo"),
    instruments=("violin", "piano", "viola", "cello", "kalimba"),
    rooms=("hall", "church", "cellar", "hall", "church"),
    players=(("violin", "viola"), ("violin", "cello"), ("kalimba",), ("piano",), ("piano", "violin", "cello")),
    programs=(40, 0, 41, 42, 108),
)
CONFIG = {"weight_decay": 0.01, "rate": 1e-3}


def prior(vocabulary: Vocabulary) -> Prior:
    """A narrow prior whose every weight counts."""
    torch.manual_seed(len(vocabulary.performances))
    model = Prior(len(vocabulary.performances), len(vocabulary.instruments), 16, 2, rooms=vocabulary.room_indices)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        model.players.room.weight[-1] = 0.0
    return model


def heard(model: Prior, who: Vocabulary, performance: str | None, instrument: str) -> torch.Tensor:
    """Mel of the same notes by somebody, or by the null performance."""
    roll = torch.zeros(1, 8, 4, 88)
    roll[:, :, 1, 40] = 0.7
    index = len(who.performances) if performance is None else who.performances.index(performance)
    with torch.no_grad():
        return model(roll, torch.tensor([who.instruments.index(instrument)]), torch.tensor([index]), torch.ones(1))


def trained() -> tuple[Prior, dict]:
    """A prior of the old vocabulary after two steps of its optimiser, and its checkpoint."""
    model = prior(OLD)
    optimiser = optimiser_of(model, CONFIG)
    for _ in range(2):
        roll = torch.rand(4, 8, 4, 88)
        who = torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, 2, 0])
        model(roll, *who, torch.ones(4)).square().mean().backward()
        optimiser.step()
    state = {
        "model": model.state_dict(),
        "average": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "vocabulary": OLD.kept(),
        "kept": {"ceiling": torch.arange(3 * 3 * 128.0).reshape(3, 3, 128)},
    }
    return model, state


@pytest.mark.parametrize("performance", ["grand", "quartet", None])
@pytest.mark.parametrize("instrument", OLD.instruments)
def test_who_was_known_sounds_as_before_wherever_the_index_moved(performance: str | None, instrument: str) -> None:
    before, state = trained()
    after = prior(NEW)
    after.load_state_dict(grown(state, after, NEW)["model"])
    torch.testing.assert_close(heard(after, NEW, performance, instrument), heard(before, OLD, performance, instrument))


def test_a_new_performance_begins_as_the_one_that_shares_most_instruments() -> None:
    assert performance_sources(OLD, NEW, {}) == [1, 1, NONE, 0, 1, 2]
    assert performance_sources(OLD, NEW, {"drums": "grand"})[2] == 0
    same_room = replace(NEW, rooms=("hall", "church", "hall", "hall", "church"))
    assert performance_sources(OLD, same_room, {})[2] == 0


def test_a_new_instrument_begins_as_the_nearest_of_its_family_else_as_the_mean() -> None:
    assert instrument_sources(OLD, NEW, {}) == [1, 0, 1, 2, NONE]
    _, state = trained()
    after = grown(state, prior(NEW), NEW)["model"]
    old = state["model"]["players.instrument.weight"]
    torch.testing.assert_close(after["players.instrument.weight"][4], old.mean(0))
    torch.testing.assert_close(
        after["players.performance.weight"][2], state["model"]["players.performance.weight"][:2].mean(0)
    )


def test_the_optimiser_goes_on_with_the_moments_of_the_same_weights() -> None:
    before, state = trained()
    after = prior(NEW)
    optimiser = optimiser_of(after, CONFIG)
    optimiser.load_state_dict(grown(state, after, NEW)["optimiser"])
    old = dict(zip(order(before), state["optimiser"]["state"].values(), strict=True))
    for name, parameter in after.named_parameters():
        moment = optimiser.state[parameter]["exp_avg_sq"]
        assert moment.shape == parameter.shape
        if "players.performance" in name:
            torch.testing.assert_close(moment[[3, 1, 5]], old[name]["exp_avg_sq"])
        elif "players.room" in name:
            torch.testing.assert_close(moment[:2], old[name]["exp_avg_sq"][:2])
            assert moment[2].eq(0).all()


def test_the_ceiling_moves_with_its_players_and_is_the_loudest_for_strangers() -> None:
    _, state = trained()
    old = state["kept"]["ceiling"]
    new = grown(state, prior(NEW), NEW)["kept"]["ceiling"]
    assert new.shape == (6, 5, 128)
    torch.testing.assert_close(new[3, 1], old[0, 0])
    torch.testing.assert_close(new[5, 3], old[2, 2])
    torch.testing.assert_close(new[2, 4], old.amax((0, 1)))


def test_a_checkpoint_from_before_rooms_and_vocabularies_is_of_the_first_entries() -> None:
    before, state = trained()
    now = replace(
        NEW,
        performances=OLD.performances + ("trio",),
        rooms=OLD.rooms + ("cellar",),
        players=OLD.players + (("piano",),),
        instruments=OLD.instruments,
        programs=OLD.programs,
    )
    del state["vocabulary"], state["optimiser"]
    with torch.no_grad():
        before.players.room.weight.zero_()
    state["model"] = state["average"] = {k: v for k, v in before.state_dict().items() if "room" not in k}
    assert known(state, now) == OLD
    after = prior(now)
    after.load_state_dict(grown(state, after, now)["model"])
    torch.testing.assert_close(heard(after, now, "quartet", "cello"), heard(before, OLD, "quartet", "cello"))
    torch.testing.assert_close(heard(after, now, None, "cello"), heard(before, OLD, None, "cello"))


def test_folded_rooms_sound_as_before() -> None:
    model = prior(NEW)
    before = [heard(model, NEW, performance, "viola") for performance in (*NEW.performances, None)]
    model.players.fold()
    for performance, sound in zip((*NEW.performances, None), before, strict=True):
        torch.testing.assert_close(heard(model, NEW, performance, "viola"), sound)
    assert not any("room" in name for name in model.state_dict())


def test_performances_in_one_room_learn_from_each_other() -> None:
    model = UNet(5, 5, [16, 24], 1, 1, 1, rooms=NEW.room_indices)
    who = torch.tensor([0]), torch.tensor([0])
    model.players(*who).sum().backward()
    touched = model.players.room.weight.grad.abs().sum(1) > 0
    assert touched.tolist() == [True, False, False, False]
    assert model.players.room_of.tolist() == [0, 1, 2, 0, 1, 3]


def test_the_schedule_begins_again_where_it_was_told_to() -> None:
    schedule = Schedule(rate=1.0, warmup=10, step=1000, seconds=600.0)
    assert schedule.at(1000, 600.0, 2000, 1e9) == pytest.approx(0.1)
    assert schedule.at(1009, 600.0, 1e9, 1e9) == pytest.approx(1.0, abs=1e-3)
    assert schedule.at(1500, 600.0, 2000, 1e9) == pytest.approx(0.515, abs=1e-3)
    assert schedule.at(1100, 1200.0, 1e9, 1200.0) == pytest.approx(0.03, abs=1e-3)
