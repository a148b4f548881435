"""Open JTalk labels and a voice setting in, vocoder parameters with phone durations out.

Two HTS voices of one structure are mixed, so a setting is a point between two speakers.
Refuses to know: text, telephone lines, training.
"""

import ctypes
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyopenjtalk

SPECTRUM_ORDER = 35
FRAME_LIMIT = 6000
FIRST_VOICE = Path("/usr/share/hts-voice/nitech-jp-atr503-m001/nitech_jp_atr503_m001.htsvoice")
SECOND_VOICE = Path(pyopenjtalk.__file__).parent / "htsvoice" / "mei_normal.htsvoice"
SOURCE = Path(__file__).with_name("hts_parameters.c")
# Outside these bounds hts_engine's pitch explodes, about 3 % of the time.
LOG_PITCH_LOW, LOG_PITCH_HIGH = 3.6, 6.5

_ENGINE_FIELDS = (
    "duration_mix",
    "spectrum_mix",
    "pitch_mix",
    "speed",
    "half_tones",
    "spectrum_variance",
    "pitch_variance",
)


@dataclass(frozen=True)
class Voice:
    """One way of speaking. The first seven go to hts_engine, the others to our vocoder."""

    duration_mix: float
    spectrum_mix: float
    pitch_mix: float
    speed: float
    half_tones: float
    spectrum_variance: float
    pitch_variance: float
    alpha: float
    tract_warp: float
    voicing_cutoff: float
    formant_gain: float
    jitter: float
    tilt: float
    breath: float
    pause: float


class _Settings(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in _ENGINE_FIELDS]


def build_library(folder: Path) -> Path:
    """Compiles the C part once into `folder`."""
    library = folder / "libhts_parameters.so"
    if not library.exists() or library.stat().st_mtime < SOURCE.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"libhts_parameters.{os.getpid()}"
        subprocess.run(
            ["gcc", "-O2", "-shared", "-fPIC", "-o", partial, SOURCE, "-lHTSEngine", "-lm"],
            check=True,
        )
        partial.rename(library)
    return library


class VoiceEngine:
    """Generates vocoder parameters for labels of one utterance at a time."""

    def __init__(self, work: Path):
        if not FIRST_VOICE.exists():
            raise FileNotFoundError(
                f"{FIRST_VOICE} is missing: install the Debian package hts-voice-nitech-jp-atr503-m001 (contrib)."
            )
        self._library = ctypes.CDLL(str(build_library(work)))
        self._library.voices_open.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(self._library.voices_open(str(FIRST_VOICE).encode(), str(SECOND_VOICE).encode()))
        if not self._handle:
            raise RuntimeError("hts_engine refused the two voice files: they must have the same structure.")
        self._spectrum = np.zeros((FRAME_LIMIT, SPECTRUM_ORDER), np.float32)
        self._pitch = np.zeros(FRAME_LIMIT, np.float32)

    def generate(self, labels: list[str], voice: Voice) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Cepstra, log F0 (0 where unvoiced) and frames per label; None when the result is no voice."""
        lines = (ctypes.c_char_p * len(labels))(*[label.encode() for label in labels])
        durations = np.zeros(len(labels), np.int32)
        fields = asdict(voice)
        settings = _Settings(*[fields[name] for name in _ENGINE_FIELDS])
        frames = self._library.voices_generate(
            self._handle,
            lines,
            len(labels),
            ctypes.byref(settings),
            SPECTRUM_ORDER,
            FRAME_LIMIT,
            self._spectrum.ctypes.data_as(ctypes.c_void_p),
            self._pitch.ctypes.data_as(ctypes.c_void_p),
            durations.ctypes.data_as(ctypes.c_void_p),
        )
        if frames <= 0:
            return None
        pitch = self._pitch[:frames].copy()
        spoken = pitch[pitch > 0]
        if len(spoken) == 0 or spoken.max() > LOG_PITCH_HIGH or spoken.min() < LOG_PITCH_LOW:
            return None
        return self._spectrum[:frames].copy(), pitch, durations
