"""The training commands, from made-up clips to checkpoints that go on."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from ripieno_training import features as ft
from ripieno_training import vocabulary
from ripieno_training.diffusion import alpha_bars
from ripieno_training.evaluate_synth import PRIOR, Chain, Setting, best
from ripieno_training.export import main as export
from ripieno_training.manifest import OCCASIONS, UNET, denoiser_for, denoisers, write_denoiser
from ripieno_training.networks.discriminators import Judges
from ripieno_training.signatures import SIGNATURES, example
from ripieno_training.synthesis import spectral_distance
from ripieno_training.train import load_bounded, load_network
from ripieno_training.train.__main__ import DENOISERS, main
from ripieno_training.train.adversary import Adversary, apart, deceived, discerned
from ripieno_training.train.checkpoint import network, recipe
from ripieno_training.train.distil_losses import AdversarialDistilLoss, DistilLoss
from ripieno_training.train.run import changed

CLIPS = (("concert-grand", "piano"), ("guitar-room", "guitar"))
NARROW = {
    "prior": "network={kind: prior, width: 16, blocks: 1}",
    "denoiser": "network={kind: unet, widths: [16, 24], blocks: 1, middle: 1, heads: 1}",
    "vocoder": "network={kind: vocoder, width: 16, blocks: 1}",
    "denoiser_base": "network={kind: unet, widths: [16, 24, 32], blocks: 1, middle: 1, heads: 1}",
    "denoiser_alone": "network={kind: unet, widths: [16, 24], blocks: 1, middle: 1, heads: 1}",
    "t5": "network={kind: t5, width: 16, heads: 1, hidden: 16, encoder_layers: 1, decoder_layers: 1}",
    "t5_base": "network={kind: t5, width: 32, heads: 2, hidden: 16, encoder_layers: 1, decoder_layers: 1}",
}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with a second of two players in both splits."""
    random = np.random.default_rng(1)
    for split in ("train", "valid"):
        for performance, instrument in CLIPS:
            file = tmp_path / "clips" / split / performance / f"{instrument}-0000.npz"
            file.parent.mkdir(parents=True)
            np.savez(
                file, audio=random.integers(-9000, 9000, (2, ft.SAMPLE_RATE), np.int16),
                notes=np.array([[0.1, 0.6, 60.0, 90.0]]), performance=performance, instrument=instrument, work="none",
            )  # fmt: skip
    return tmp_path / "clips"


def run(monkeypatch: pytest.MonkeyPatch, name: str, clips: Path, *more: str) -> dict:
    """Trains, and reads the checkpoint."""
    out = clips.parent / "out"
    model = name if name in ("prior", "vocoder") else "denoiser"
    # Changes that the caller asks for come last of all.
    given = ["train", model, "--clips", str(clips), "--out", str(out)]
    given += [*more, *([] if "--set" in more else ["--set"]), "frames=32", "batch=2", NARROW[name]]
    monkeypatch.setattr(sys, "argv", given)
    main()
    return torch.load(out / f"{name}.pt", weights_only=False)


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """performances.toml with only what the clips need: ten performances, of which `CLIPS` are the first and last."""
    text = vocabulary.FILE.read_text()
    cards = [text[m.start() :].split("\n\n")[0] for m in re.finditer(r"\[\[(performance|instrument)\]\]", text)]
    kept = [c for c in cards if int(re.search(r"index = (\d+)", c)[1]) < (10 if c.startswith("[[perf") else 21)]
    file = tmp_path / "few.toml"
    file.write_text("\n\n".join(kept))
    monkeypatch.setattr(vocabulary, "FILE", file)
    return file


def grow(file: Path) -> None:
    """Adds a performance and an instrument."""
    instrument = '[[instrument]]\nindex = 21\nid = "lute"\nprogram = 24\nlo = 30\nhi = 80\n'
    card = '[[performance]]\nindex = 10\nid = "lute-room"\nroom_id = "attic"\nplayers = ["lute", "guitar"]\n'
    file.write_text(f"{file.read_text()}\n\n{instrument}\n{card}")


@pytest.mark.parametrize("name", ["prior", "vocoder"])
def test_a_resumed_run_goes_on_where_it_stopped(name: str, clips: Path, few: Path, monkeypatch) -> None:
    first = run(monkeypatch, name, clips, "--steps", "2")
    second = run(monkeypatch, name, clips, "--steps", "3", "--resume", "--valid")
    assert (first["step"], second["step"]) == (2, 5)
    assert second["seconds"] > first["seconds"]
    assert second["schedule"]["step"] == 0
    load_network(clips.parent / "out", name)


def test_prior_and_denoiser_grow_and_learn_who_is_new(clips: Path, few: Path, monkeypatch) -> None:
    run(monkeypatch, "prior", clips, "--steps", "2")
    before = run(monkeypatch, "denoiser", clips, "--steps", "2")
    grow(few)
    with pytest.raises(SystemExit, match="--grow"):
        run(monkeypatch, "prior", clips, "--steps", "1", "--resume")
    run(monkeypatch, "prior", clips, "--steps", "1", "--resume", "--grow")
    after = run(monkeypatch, "denoiser", clips, "--steps", "2", "--resume", "--grow")
    assert after["vocabulary"]["performances"][-1] == "lute-room"
    assert (after["step"], after["schedule"]["step"]) == (4, 2)
    old, new = (state["model"]["players.performance.weight"] for state in (before, after))
    assert len(new) == len(old) + 1
    guitar = before["vocabulary"]["performances"].index("guitar-room")
    torch.testing.assert_close(new[-2], old[guitar], atol=0.01, rtol=0.01)
    torch.testing.assert_close(new[-1], old[-1], atol=0.01, rtol=0.01)
    bounded, deviation = load_bounded(clips.parent / "out")
    assert bounded.ceiling.shape == (12, 22, ft.BANDS) and (deviation > 0).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("denoiser_base", ["--tier", "base", "--set", "predicts=epsilon"]),
        ("t5", ["--arch", "t5"]),
        ("t5_base", ["--arch", "t5", "--tier", "base"]),
    ],
)
def test_denoisers_of_a_folder_share_its_residual(
    name: str, options: list[str], clips: Path, few: Path, monkeypatch
) -> None:
    run(monkeypatch, "prior", clips, "--steps", "1")
    first = run(monkeypatch, "denoiser", clips, "--steps", "1")
    other = run(monkeypatch, name, clips, "--steps", "2", "--workers", "1", *options)
    torch.testing.assert_close(other["kept"]["residual_std"], first["kept"]["residual_std"])
    shipped, _ = load_bounded(clips.parent / "out", name)
    with torch.no_grad():
        v = shipped(*example(SIGNATURES["denoiser"][0], 1, 32))
    assert v.shape == (1, 32, 2 * ft.BANDS) and v.isfinite().all()


def test_both_architectures_are_there_in_both_tiers() -> None:
    # What the tiers promise: millions of parameters at least and at most.
    sizes = {"tiny": (5, 15), "base": (30, 60)}
    assert set(DENOISERS) == {(a, t) for a in ("unet", "t5") for t in sizes}
    for (arch, tier), name in DENOISERS.items():
        config = recipe(name)
        parameters = sum(p.numel() for p in network(config, vocabulary.current()).parameters()) / 1e6
        assert config["network"]["kind"] == arch and sizes[tier][0] <= parameters <= sizes[tier][1], name


def test_a_denoiser_without_the_prior_makes_the_mel_from_its_mean(clips: Path, few: Path, monkeypatch) -> None:
    run(monkeypatch, "prior", clips, "--steps", "1")
    state = run(monkeypatch, "denoiser_alone", clips, "--steps", "2", "--without-prior")
    mean, deviation = state["kept"]["mean_mel"], state["kept"]["residual_std"]
    mels = [ft.mel_of_audio(np.load(file)["audio"] / 32768.0, 0, 93) for file in (clips / "train").glob("*/*.npz")]
    # Crops begin in silence now and then.
    assert mean[: ft.BANDS].mean() == pytest.approx(np.mean(mels, (0, 1))[: ft.BANDS].mean(), abs=2.0)
    assert state["config"]["onto"] == "mean" and deviation[: ft.BANDS].mean() > 0.5
    run(monkeypatch, "vocoder", clips, "--steps", "1")
    chain = Chain(clips.parent / "out", "denoiser_alone")
    roll, who = torch.zeros(1, 8, ft.PLANES, ft.KEYS), torch.zeros(1, dtype=torch.long)
    torch.testing.assert_close(chain.prior(roll, who, who, torch.ones(1))[0, 3], mean)
    monkeypatch.setattr(sys, "argv", ["train", "prior", "--clips", str(clips), "--out", str(clips), "--without-prior"])
    with pytest.raises(SystemExit):
        main()


def test_a_denoiser_is_distilled_stage_by_stage_and_exported(clips: Path, few: Path, monkeypatch) -> None:
    run(monkeypatch, "prior", clips, "--steps", "1")
    teacher = run(monkeypatch, "denoiser", clips, "--steps", "1")
    out, models = clips.parent / "out", clips.parent / "models"
    given = ["train", "distil", "--clips", str(clips), "--out", str(out), "--steps", "2", "--resume", "--stages"]
    small = ["--set", "frames=32", "batch=2"]
    monkeypatch.setattr(sys, "argv", [*given, "2", "1", *small])
    main()
    students = [torch.load(out / f"denoiser_distilled_{n}.pt", weights_only=False) for n in (2, 1)]
    assert [s["kept"]["times"] for s in students] == [[999, 499], [999]]
    assert all(s["config"]["network"] == teacher["config"]["network"] for s in students)
    written = (out / "denoiser_distilled_2.pt").stat().st_mtime_ns
    main()
    assert (out / "denoiser_distilled_2.pt").stat().st_mtime_ns == written
    (models / "synth").mkdir(parents=True)
    (models / "manifest.toml").write_text("")
    (models / "synth" / "performances.toml").write_text("[trained]\nperformances = 1\ninstruments = 1\n")
    # A student of another teacher would be another file.
    asked = ["export", "--checkpoints", str(out), "--out", str(models), "--only"]
    against_judges = "adversary={widths: [2, 2], rate: 0.01, clip: 1, distance: 1, teach: 1, deceive: 1, match: 1}"
    monkeypatch.setattr(sys, "argv", [*given, "2", "--adversarial", *small, against_judges])
    main()
    checkpoints = ["denoiser", "denoiser_distilled_2", "denoiser_distilled_1", "denoiser_sharpened_2"]
    for only in [[checkpoints[0]], [checkpoints[1]], [checkpoints[2], "--live", "unet-distilled-1"], [checkpoints[3]]]:
        monkeypatch.setattr(sys, "argv", [*asked, *only])
        export()
    made = tomllib.loads((models / "manifest.toml").read_text())
    assert made["synth"]["denoiser"] == [
        {"name": "unet", "model": "denoiser", "sampler": "ddim"},
        {
            "name": "unet-distilled-2", "model": "denoiser_distilled_2", "sampler": "distilled", "steps": 2,
            "times": [999, 499], "teacher": "unet",
        },
        {
            "name": "unet-distilled-1", "model": "denoiser_distilled_1", "sampler": "distilled", "steps": 1,
            "times": [999], "teacher": "unet",
        },
        {
            "name": "unet-sharpened-2", "model": "denoiser_sharpened_2", "sampler": "distilled", "steps": 2,
            "times": [999, 499], "teacher": "unet",
        },
    ]  # fmt: skip
    assert {entry["file"] for entry in made["model"]} == {f"synth/{name}.onnx" for name in checkpoints}
    assert "distil --teacher denoiser --adversarial " in made["model"][-1]["made_by"]
    manifest = models / "manifest.toml"
    assert [denoiser_for(occasion, manifest)["name"] for occasion in OCCASIONS] == ["unet", "unet-distilled-1"]
    monkeypatch.setattr(sys, "argv", [*asked, "denoiser", "--offline", "unet-bass"])
    with pytest.raises(ValueError, match="unet-bass.*unet-distilled-2"):
        export()
    manifest.write_text(manifest.read_text().replace('live = "unet-distilled-1"', 'live = "gone"'))
    with pytest.raises(ValueError, match='live = "gone" is none of its denoisers'):
        denoiser_for("live", manifest)


def test_the_unet_needs_a_table_only_where_it_is_sampled_otherwise(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.toml"
    manifest.write_text("")
    otherwise = UNET | {"sampler": "dpm++2m"}
    for entry in (otherwise, UNET):
        write_denoiser(entry, manifest)
        assert denoisers(manifest) == [entry]
    assert "denoiser" not in tomllib.loads(manifest.read_text())["synth"]


def test_a_vocoder_goes_on_against_judges_that_are_kept(clips: Path, few: Path, monkeypatch) -> None:
    run(monkeypatch, "vocoder", clips, "--steps", "1")
    judges = (
        "adversary={periods: [2, 3], windows: [512], width: 2, rate: 0.01, clip: 1, distance: 1, deceive: 1, match: 1}"
    )
    states = [
        run(monkeypatch, "vocoder", clips, "--adversarial", "--resume", "--steps", "2", "--valid", "--set", judges)
        for _ in range(2)
    ]
    first, second = (state["kept"]["adversary"]["judges"] for state in states)
    assert states[1]["step"] == 5 and first.keys() == second.keys()
    moved = [(second[key] - first[key]).abs().max().item() for key in first]
    # Two small steps from where they were, not new ones.
    assert 0 < max(moved) < 0.1
    load_network(clips.parent / "out", "vocoder")


def test_judges_learn_to_tell_noise_from_a_tone_and_then_say_so() -> None:
    torch.manual_seed(4)
    judges = Judges(periods=[2, 3], windows=[256], width=4)
    adversary = Adversary(judges, {"rate": 2e-3, "clip": 10.0}, {})
    tone, noise = torch.sin(torch.arange(8192) * 0.05).expand(2, -1), 0.5 * torch.randn(2, 8192)
    before = discerned(judges(noise), judges(tone)).item()
    for _ in range(25):
        adversary.learn(noise, tone)
    assert discerned(judges(noise), judges(tone)).item() < 0.5 * before
    assert deceived(judges(noise)) > 0 > deceived(judges(tone))
    assert apart(judges(tone), judges(tone)) == 0.0


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_perfect_teacher_teaches_its_student_the_truth(steps: int) -> None:
    torch.manual_seed(steps)
    config = {"drop": 0.1, "guidance": 1.0, "side_weight": 1.0}
    residual, bars = torch.randn(1, 8, 2 * ft.BANDS).clamp(-3, 3), torch.from_numpy(alpha_bars()).float()
    mel = 2.0 + 0.5 * residual

    def perfect(x: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        bar = bars[conditions[-1].long()][:, None, None]
        return (bar.sqrt() * x - residual) / (1 - bar).sqrt()

    def prior(*_: torch.Tensor) -> torch.Tensor:
        return torch.full((6, 8, 2 * ft.BANDS), 2.0)

    batch = {"mel": mel.expand(6, -1, -1), "roll": torch.zeros(6, 8, 4, 88)}
    batch |= {"instrument": torch.zeros(6, dtype=torch.long), "performance": torch.zeros(6, dtype=torch.long)}
    loss_of = DistilLoss(config, 3, prior, torch.full((2 * ft.BANDS,), 0.5), perfect, steps)
    assert loss_of(perfect, batch) < 1e-5
    assert loss_of(lambda x, *conditions: 1.1 * perfect(x, *conditions), batch) > 1e-3


@pytest.mark.parametrize("judged", [False, True])
def test_against_judges_a_student_plays_what_it_cannot_know_in_place_of_its_mean(judged: bool) -> None:
    torch.manual_seed(3)
    weights = {"distance": 1.0, "teach": 0.0, "deceive": 1.0 if judged else 0.0, "match": 0.0}
    adversary = weights | {"widths": [8, 16], "rate": 2e-3, "clip": 10.0}
    config = {"drop": 0.0, "guidance": 1.0, "side_weight": 1.0, "adversary": adversary}

    def prior(*_: torch.Tensor) -> torch.Tensor:
        return torch.zeros(4, 16, 2 * ft.BANDS)

    loss_of = AdversarialDistilLoss(config, 3, prior, torch.ones(2 * ft.BANDS), torch.nn.Identity(), 1, kept={})
    layers = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)).train()

    class Student(torch.nn.Module):
        def forward(self, x: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
            return layers(x[..., None])[..., 0]

    student = Student()
    optimiser = torch.optim.Adam(layers.parameters(), lr=3e-3)
    nobody = torch.zeros(4, dtype=torch.long)
    batch = {"roll": torch.zeros(4, 16, 4, 88), "instrument": nobody, "performance": nobody}
    for _ in range(150):
        # Half of it is 0, the rest 3 or -3, and nothing says where.
        chance = torch.rand(4, 16, 2 * ft.BANDS)
        batch["mel"] = 3.0 * (chance < 0.25).float() - 3.0 * (chance > 0.75).float()
        optimiser.zero_grad()
        loss_of(student, batch).backward()
        optimiser.step()
    with torch.no_grad():
        played = student(torch.randn(4, 16, 2 * ft.BANDS))
    # True ones deviate by 2.1.
    assert (played.std() > 1.5) == judged, played.std()


def test_clips_of_performances_that_are_not_in_the_vocabulary_are_left_alone(
    clips: Path, few: Path, monkeypatch
) -> None:
    (clips / "train" / "guitar-room").rename(clips / "train" / "unheard-of")
    assert run(monkeypatch, "prior", clips, "--steps", "1")["clips"] == 1


def test_a_recipe_has_no_setting_of_another_name() -> None:
    assert changed({"rate": 1.0}, ["rate=1e-3"]) == {"rate": 1e-3}
    with pytest.raises(SystemExit, match="no rat;"):
        changed({"rate": 1.0}, ["rat=1"])


@pytest.mark.parametrize("size", [512, 1024, 2048, 4096])
def test_of_noises_the_one_at_the_level_of_the_true_one_is_nearest_to_it(size: int) -> None:
    torch.manual_seed(1)
    true, ours, gains = torch.randn(8, 24000), torch.randn(8, 24000), (0.7, 0.8, 0.9, 1.0, 1.1, 1.2)

    def nearest(level_weight: float) -> float:
        return min(gains, key=lambda gain: spectral_distance(gain * ours, true, [size], level_weight).item())

    assert nearest(recipe("vocoder")["level_weight"]) == 1.0
    # Or else one that is too soft would be.
    assert nearest(0.0) < 1.0


def test_the_liveliest_setting_that_still_plays_these_frames_is_chosen() -> None:
    mean, lively, wild, far = (Setting("diffusion", 4, share=share) for share in (0.2, 0.6, 1.0, 1.4))
    rows = {PRIOR: (0.7, 20.0), mean: (0.69, 19.0), lively: (0.71, 17.0), wild: (0.73, 15.0), far: (0.74, 14.0)}
    table = {str(s): {"stft_distance": stft, "musicnn_fad": fad} for s, (stft, fad) in rows.items()}
    assert best(table, list(rows)) == lively
    # If all are farther away, the nearest.
    assert best(table, [PRIOR, wild, far]) == wild
