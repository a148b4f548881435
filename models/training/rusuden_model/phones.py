"""Text in, full-context labels and phone numbers out.

Refuses to know: voices and sound.
"""

import pyopenjtalk

# 0 is silence: between words for the frame loss, the blank for CTC.
PHONES = (
    "-", "a", "i", "u", "e", "o", "N", "cl", "b", "by", "ch", "d", "dy", "f", "fy", "g", "gw", "gy", "h",
    "hy", "j", "k", "kw", "ky", "m", "my", "n", "ny", "p", "py", "r", "ry", "s", "sh", "t", "ts", "ty", "v",
    "w", "y", "z",
)  # fmt: skip
_NUMBER = {phone: number for number, phone in enumerate(PHONES)}
_SILENT = {"sil", "pau", "xx"}


def labels(said: str) -> list[str]:
    """HTS full-context labels of a sentence."""
    return pyopenjtalk.extract_fullcontext(said)


def phone_of(label: str) -> str | None:
    """The phone a label stands for, devoiced vowels as their vowel; None for silence."""
    phone = label[label.index("-") + 1 : label.index("+")]
    if phone in _SILENT:
        return None
    return phone.lower() if phone in "AIUEO" else phone


def is_pause(label: str) -> bool:
    """Whether a label is a pause inside a sentence."""
    return label[label.index("-") + 1 : label.index("+")] == "pau"


def number(phone: str) -> int:
    """The phone's place in `PHONES`; a phone the list lacks is an error in the list."""
    return _NUMBER[phone]


def phone_numbers(said: str) -> list[int]:
    """The phones of a sentence."""
    return [number(phone) for phone in map(phone_of, labels(said)) if phone is not None]
