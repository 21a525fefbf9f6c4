"""Networks, schedule, sampler, vocoder synthesis and judges on small made-up inputs."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from ripieno_training import features as ft
from ripieno_training import golden
from ripieno_training.diffusion import STEPS, alpha_bars, ddim, dpm, guided, solver_times, times
from ripieno_training.export import export
from ripieno_training.listening import frechet_of_moments, stft_distance
from ripieno_training.networks import MEL, T5, Prior, UNet, Vocoder, bounded
from ripieno_training.networks.bounded import OfEpsilon
from ripieno_training.networks.t5 import ASIDE
from ripieno_training.networks.wiener import TAPS, Wiener
from ripieno_training.signatures import SIGNATURES, example, pair
from ripieno_training.synthesis import resynthesize, synthesize, white_noise

PERFORMANCES, INSTRUMENTS = 4, 6


KINDS = {
    "prior": lambda: Prior(PERFORMANCES, INSTRUMENTS, 32, 2, [0, 1, 0, 2]),
    "denoiser": lambda: UNet(PERFORMANCES, INSTRUMENTS, [32, 48, 64], 1, 1, 2, [0, 1, 0, 2]),
    "t5": lambda: T5(PERFORMANCES, INSTRUMENTS, 32, 2, 48, 2, 2, [0, 1, 0, 2]),
    "vocoder": lambda: Vocoder(32, 2),
}
DENOISERS = ["denoiser", "t5"]
LOWEST = -7.5


def small(name: str) -> torch.nn.Module:
    """A network of the real shape, narrow, with weights everywhere (blocks start as identities otherwise)."""
    torch.manual_seed(5)
    model = KINDS[name]()
    for parameter in model.parameters():
        if parameter.ndim > 1 and parameter.eq(0).all():
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def lines(name: str) -> list[dict]:
    """The input lines of a network; all denoisers have the same."""
    return SIGNATURES["denoiser" if name in DENOISERS else name][0]


def inputs(name: str, batch: int = 2, frames: int = 48) -> dict[str, Tensor]:
    """Example inputs by name."""
    return dict(zip((line["name"] for line in lines(name)), example(lines(name), batch, frames), strict=True))


def shipped(name: str, ceiling: float = LOWEST, predicts: str = "v") -> torch.nn.Module:
    """A small denoiser under a ceiling, residuals of deviation 0.5."""
    level = torch.full((PERFORMANCES + 1, INSTRUMENTS, ft.BANDS), ceiling)
    return bounded(small(name), torch.from_numpy(alpha_bars()), torch.full((MEL,), 0.5), level, predicts).eval()


def told(session: onnxruntime.InferenceSession, feed: dict[str, Tensor]) -> Tensor:
    """What a graph says."""
    [out] = session.run(None, {key: value.numpy() for key, value in feed.items()})
    return torch.from_numpy(out)


@pytest.mark.parametrize("name", ["prior", "denoiser", "vocoder"])
def test_onnx_says_what_torch_says_for_any_batch_and_length(name: str, tmp_path) -> None:
    model, file = small(name), tmp_path / "network.onnx"
    signature = SIGNATURES[name]
    assert export(model, signature, file)["largest_difference_from_fp32"] < 1e-3
    assert export(model, signature, file, fp16=False)["largest_difference_from_fp32"] < 1e-4
    session = onnxruntime.InferenceSession(str(file))
    for batch, frames in ((1, 2), (4, 130)):
        feed = inputs(name, batch, frames)
        with torch.no_grad():
            torch.testing.assert_close(told(session, feed), model(**feed), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["denoiser", "t5"])
def test_in_8_bits_a_denoiser_says_nearly_the_same_and_its_ends_are_exact(name: str, tmp_path) -> None:
    model, file = shipped(name), tmp_path / "network.onnx"
    model, signature = (model, SIGNATURES[name]) if name == "denoiser" else (model.decoder, pair(16 + ASIDE)[1])
    feed = dict(zip((line["name"] for line in signature[0]), example(signature[0], 2, 48), strict=True))
    said = []
    for int8 in (False, True):
        export(model, signature, file, int8=int8)
        said.append(told(onnxruntime.InferenceSession(str(file)), feed))
    apart = float((said[1] - said[0]).norm() / said[0].norm())
    assert 0 < apart < 0.03
    nodes = onnx.load(str(file)).graph.node
    rounded = [node.name for node in nodes if node.op_type == "MatMulInteger"]
    exact = [node.name for node in nodes if node.op_type == "MatMul"]
    # Of a U-Net's blocks, and of a decoder's.
    inside, ends = ("narrow", {"excitation", "enter", "leave"}) if name == "denoiser" else ("mlp", {"enter", "leave"})
    assert any(f"/{inside}/" in product for product in rounded)
    assert {end for end in ends for product in exact if f"/{end}/MatMul" in product} == ends
    network = "denoiser" if name == "denoiser" else "decoder"
    assert not any(f"/{network}/{end}/" in product for end in ends for product in rounded)


# At the last time the noise is divided by a signal of 5e-5, and rounding with it.
@pytest.mark.parametrize(("predicts", "noisiest"), [("v", 999.0), ("epsilon", 700.0)])
def test_encoder_and_decoder_say_together_what_torch_says(predicts: str, noisiest: float, tmp_path) -> None:
    model = shipped("t5", predicts=predicts)
    signatures = pair(model.encoder.width // 2 + ASIDE)
    sessions = []
    for number, part in enumerate((model.encoder, model.decoder)):
        file = tmp_path / f"{number}.onnx"
        assert export(part, signatures[number], file, fp16=False)["largest_difference_from_fp32"] < 1e-4
        sessions.append(onnxruntime.InferenceSession(str(file)))
    for batch, frames in ((1, 2), (3, 130)):
        feed = inputs("t5", batch, frames)
        memory = told(sessions[0], {line["name"]: feed[line["name"]] for line in signatures[0][0]})
        for time in (noisiest, 250.0):
            feed["t"] = torch.full((batch,), time)
            rest = {"memory": memory} | {key: feed[key] for key in ("x", "prior", "performance", "t")}
            with torch.no_grad():
                torch.testing.assert_close(told(sessions[1], rest), model(**feed), atol=1e-4, rtol=1e-4)


# Denoisers attend to all that they are shown.
@pytest.mark.parametrize("name", ["prior", "vocoder"])
def test_a_place_in_the_stream_means_nothing(name: str) -> None:
    model, feed = small(name), inputs(name, 1, 160)
    feed.pop("wanted", None)
    part = {key: value[:, 40:] if value.ndim > 2 else value for key, value in feed.items()}
    with torch.no_grad():
        torch.testing.assert_close(model(*feed.values())[:, 100:], model(*part.values())[:, 60:], atol=1e-4, rtol=1e-4)


def test_gains_of_some_frames_are_those_of_all() -> None:
    model, feed = small("vocoder"), inputs("vocoder", 2, 48)
    some = feed.pop("wanted")[5:20:3]
    with torch.no_grad():
        torch.testing.assert_close(model(**feed, wanted=some), model(**feed)[:, some])


def test_nulled_notes_are_not_seen_by_the_prior() -> None:
    prior, feed = small("prior"), inputs("prior") | {"notes_on": torch.zeros(2)}
    with torch.no_grad():
        torch.testing.assert_close(prior(**feed), prior(**feed | {"roll": torch.zeros_like(feed["roll"])}))


@pytest.mark.parametrize("name", DENOISERS)
def test_nulled_notes_are_not_seen_by_a_denoiser(name: str) -> None:
    model, feed = small(name), inputs(name) | {"notes_on": torch.zeros(2)}
    silent = feed | {"roll": torch.zeros_like(feed["roll"]), "prior": torch.randn(2, 48, MEL)}
    with torch.no_grad():
        torch.testing.assert_close(model(**feed), model(**silent))
        assert not torch.allclose(model(**feed | {"notes_on": torch.ones(2)}), model(**feed), atol=1e-3)


@pytest.mark.parametrize("name", DENOISERS)
def test_every_condition_is_heard(name: str) -> None:
    model, feed = small(name), inputs(name)
    others = {"t": torch.full((2,), 900.0), "performance": torch.tensor([PERFORMANCES] * 2)}
    others["instrument"] = torch.tensor([4, 5])
    with torch.no_grad():
        for key, value in others.items():
            assert not torch.allclose(model(**feed | {key: value}), model(**feed), atol=1e-3), key


@pytest.mark.parametrize("name", DENOISERS)
def test_a_bounded_denoiser_stays_under_the_ceiling_and_is_itself_below_it(name: str) -> None:
    feed, bars = inputs(name), torch.from_numpy(alpha_bars())
    feed["t"] = torch.tensor([999.0, 250.0])
    with torch.no_grad():
        v, free = shipped(name)(**feed), shipped(name, 100.0)(**feed)
        torch.testing.assert_close(free, small(name)(**feed))
    a, s = (f[feed["t"].long()].float()[:, None, None] for f in (bars.sqrt(), (1 - bars).sqrt()))
    mel = (feed["prior"] + 0.5 * (a * feed["x"] - s * v))[..., : ft.BANDS]
    before = (feed["prior"] + 0.5 * (a * feed["x"] - s * free))[..., : ft.BANDS]
    torch.testing.assert_close(mel, before.clamp(max=LOWEST), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("t", [20, 500, 900])
def test_a_network_that_knows_the_noise_is_shipped_as_one_that_knows_v(t: int) -> None:
    torch.manual_seed(3)
    bars = torch.from_numpy(alpha_bars())
    a, s = float(bars[t].sqrt()), float((1 - bars[t]).sqrt())
    x0, noise = torch.randn(2, 4, MEL).clamp(-3, 3), torch.randn(2, 4, MEL)
    knows = OfEpsilon(lambda *_: noise, bars)
    v = knows(a * x0 + s * noise, torch.full((2,), float(t)))
    torch.testing.assert_close(v, a * noise - s * x0, atol=1e-3, rtol=1e-3)


def test_the_schedule_has_the_published_values() -> None:
    bars = alpha_bars()
    golden = {0: 0.999958716, 250: 0.845887986, 499: 0.49384359, 750: 0.143178646, 999: 2.42876691e-9}
    for t, value in golden.items():
        assert bars[t] == pytest.approx(value, rel=1e-6)


def test_ddim_asks_where_the_engine_asks() -> None:
    # The engine's own test has the same times, of the same file.
    for steps, expected in json.loads(golden.FILE.read_text())["ddim_times"].items():
        assert times(int(steps)) == expected
    assert times(4) == [999, 749, 499, 249] and times(250) == list(range(999, 0, -4))
    for steps in range(1, 251):
        assert set(times(steps)) <= set(times(2 * steps)) and times(steps)[-1] > 0


def test_guidance_has_the_published_value() -> None:
    assert float(guided(torch.tensor(3.0), torch.tensor(1.0), torch.tensor(2.0), 1.25, 1.25)) == 3.75


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 8])
def test_with_a_perfect_network_the_sampler_finds_the_truth(steps: int, eta: float) -> None:
    torch.manual_seed(1)
    truth, bars = torch.randn(1, 4, 3), alpha_bars()

    def perfect(x: Tensor, t: int) -> Tensor:
        a, s = float(np.sqrt(bars[t])), float(np.sqrt(1 - bars[t]))
        return a * (x - a * truth) / s - s * truth

    found = ddim(perfect, torch.randn_like(truth), steps, eta)
    torch.testing.assert_close(found, truth, atol=1e-3, rtol=1e-3)
    assert times(steps)[0] == STEPS - 1


def test_the_solver_asks_where_the_engine_asks_and_follows_a_gaussian_to_its_end() -> None:
    # The engine's own test has the same times.
    assert solver_times(4) == [995, 950, 503, 44]
    assert solver_times(8) == [995, 985, 950, 827, 503, 172, 44, 8]
    bars, mean, deviation = alpha_bars(), 0.4, 0.7

    def best(x: Tensor, t: int) -> Tensor:
        a, s = float(np.sqrt(bars[t])), float(np.sqrt(1 - bars[t]))
        x0 = mean + deviation**2 * a / ((deviation * a) ** 2 + s**2) * (x - a * mean)
        return (a * x - x0) / s

    at = solver_times(1)[0]
    a, s = np.sqrt(bars[at]), np.sqrt(1 - bars[at])
    exact = mean + (-1.3 - a * mean) / np.hypot(deviation * a, s) * deviation
    begin = torch.tensor([-1.3], dtype=torch.float64)
    off = [abs(float(dpm(best, begin, steps)) - exact) for steps in (1, 4, 16, 64)]
    # Four times the steps are a sixteenth of the error, or nearly; of first order it would be a quarter.
    assert off[-1] < 0.002 and off[1] / off[2] > 8 and off[2] / off[3] > 8, off


def test_the_harmonics_of_a_fresh_vocoder_already_have_the_level_of_its_mel() -> None:
    frames = 60
    roll = ft.note_roll(np.array([[-1.0, 5.0, 60, 127]]), 0, frames)
    excitation = torch.from_numpy(ft.excitation_spectrum(roll, 0))[None]
    with torch.no_grad():
        mel = torch.cat(
            [Vocoder(32, 1).excitation(torch.from_numpy(roll)[None]), torch.full((1, frames, 128), -9.0)], -1
        )
        torch.manual_seed(2)
        gains = Vocoder(32, 1)(mel, torch.from_numpy(roll)[None])
        audio = synthesize(gains, excitation, torch.zeros(2, 1, frames, ft.BINS))[0].numpy().mean(0)
    true = np.sum([np.cos(2 * np.pi * 261.6256 * h * np.arange(len(audio)) / 48000) / h for h in range(1, 70)], 0)
    middle = slice(5000, -5000)
    level = 20 * np.log10(audio[middle].std() / true[middle].std())
    assert abs(level) < 1.0


def test_torch_synthesis_agrees_with_the_numpy_transform() -> None:
    random = np.random.default_rng(4)
    spectrum = random.normal(0, 0.1, (12, ft.BINS)) + 1j * random.normal(0, 0.1, (12, ft.BINS))
    # A real signal has real ends.
    spectrum[:, [0, -1]] = spectrum[:, [0, -1]].real
    gains = torch.zeros(1, 12, 4, ft.BINS)
    gains[:, :, 0] = 1.0
    noise = torch.zeros(2, 1, 12, ft.BINS)
    audio = synthesize(gains, torch.from_numpy(spectrum.astype(np.complex64))[None], noise)[0, 0].numpy()
    half = ft.WINDOW // 2
    np.testing.assert_allclose(audio, ft.istft(spectrum)[half : half + 11 * ft.HOP + 1], atol=1e-5)


def test_what_is_heard_has_the_levels_of_its_mel() -> None:
    frames = 40
    torch.manual_seed(5)
    bands = torch.arange(2 * ft.BANDS)
    mel = torch.where(bands < ft.BANDS, -5.0 + torch.sin(0.1 * bands), -1.0).expand(1, frames, -1)
    gains, noise = torch.full((1, frames, 4, ft.BINS), 0.05), white_noise(1, frames, torch.device("cpu"))
    silence = torch.zeros(1, frames, ft.BINS)

    def off(audio: torch.Tensor) -> float:
        found = ft.mel_of_audio(audio[0].numpy().astype(np.float64), 0, frames)
        return float(np.median(np.abs(found - mel[0].numpy())[5:-5]))

    before = off(synthesize(gains, silence, noise))
    after = off(resynthesize(gains, silence, noise, mel))
    assert after < 0.15 and before > 4 * after, (before, after)


def test_frechet_distance_has_the_published_value() -> None:
    first = np.array([0.0, 0.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    second = np.array([1.0, 2.0]), np.array([[1.0, 0.2], [0.2, 3.0]])
    assert frechet_of_moments(*first, *second) == pytest.approx(5.754386284536507, rel=1e-9)


def test_a_signal_is_at_distance_zero_from_itself() -> None:
    signal = np.random.default_rng(3).normal(0, 0.1, (2, 24000))
    assert stft_distance(signal, signal) == 0.0
    assert stft_distance(signal * 0.5, signal) > 0.3


def test_a_filter_by_the_condition_averages_over_frames_of_one_band() -> None:
    filtered, condition = Wiener(3), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    x = torch.randn(2, 40, MEL)
    torch.testing.assert_close(filtered(x, condition), torch.zeros_like(x))
    with torch.no_grad():
        # The first condition asks for the mean of three frames, the second for the frame itself, negated.
        taps = filtered.taps.weight.view(TAPS, MEL, 3)
        taps[TAPS // 2 - 1 : TAPS // 2 + 2, :, 0] = 1 / 3
        taps[TAPS // 2, :, 1] = -1.0
    out = filtered(x, condition)
    torch.testing.assert_close(out[0, 1:-1], (x[0, :-2] + x[0, 1:-1] + x[0, 2:]) / 3)
    torch.testing.assert_close(out[1], -x[1])
