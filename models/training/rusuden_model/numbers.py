"""A random source in, numbers as callers give them out: dates, times, amounts, telephone numbers.

Written with Arabic digits as a transcript should be; the synthesiser's own dictionary reads dates,
times and counters, and digit strings are spelled out here. Refuses to know: sentences.
"""

import random

from .lexicon import Word

_DIGITS = ("ゼロ", "いち", "にー", "さん", "よん", "ごー", "ろく", "なな", "はち", "きゅう")
_OTHER_DIGITS = {"0": ("れい", 0.06), "2": ("に", 0.3), "5": ("ご", 0.2)}
_WEEKDAYS = ("月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日", "日曜日")
_RELATIVE_DAYS = (
    ("明日", "あした"), ("明日", "あす"), ("明後日", "あさって"), ("本日", "本日"), ("今日", "今日"),
    ("来週", "来週"), ("今週中", "今週中"), ("今晩", "今晩"), ("明日の朝", "あしたの朝"), ("週末", "週末"),
    ("月末", "月末"), ("来月", "来月"), ("昨日", "きのう"), ("先週", "先週"), ("今夜", "今夜"),
    ("今朝", "けさ"), ("午前中", "午前中"), ("夕方", "夕方"), ("年末", "年末"), ("来年", "来年"),
    ("年内", "年内"), ("再来週", "再来週"), ("先日", "先日"), ("お昼", "お昼"),
)  # fmt: skip
_AREA_CODES = ("045", "052", "075", "011", "092", "078", "022", "082", "048", "043", "025", "095", "099", "054")
_COUNTERS = (
    "名",
    "枚",
    "台",
    "個",
    "箱",
    "部",
    "番",
    "本",
    "回",
    "人",
    "冊",
    "杯",
    "匹",
    "件",
    "日間",
    "泊",
    "キロ",
    "セット",
)


def digits(text: str, rng: random.Random) -> str:
    """A digit string as it is said one by one."""
    said = []
    for digit in text:
        other, share = _OTHER_DIGITS.get(digit, ("", 0.0))
        said.append(other if rng.random() < share else _DIGITS[int(digit)])
    return "".join(said)


def some_digits(count: int, rng: random.Random) -> str:
    """`count` random digits."""
    return "".join(str(rng.randrange(10)) for _ in range(count))


def clock(rng: random.Random) -> Word:
    """A time of day."""
    hour = rng.choice((7, 8, 9, 9, 10, 10, 11, 11, 12, 13, 13, 14, 14, 15, 15, 16, 16, 17, 17, 18, 19, 20, 21, 22))
    part = ""
    if hour > 12 and rng.random() < 0.5:
        hour -= 12
        part = rng.choice(("午後", "午後", "夕方" if 4 <= hour <= 6 else "夜" if hour > 6 else "午後"))
    elif hour < 12 and rng.random() < 0.4:
        part = rng.choice(("午前", "午前", "午前", "朝"))
    choice = rng.random()
    minute = rng.choice((5, 10, 15, 20, 25, 30, 30, 40, 45, 50, 55)) if rng.random() < 0.8 else rng.randint(1, 59)
    tail = "" if choice < 0.5 else "半" if choice < 0.7 else f"{minute}分"
    shown = f"{part}{hour}時{tail}"
    return Word(shown, shown)


def day(rng: random.Random) -> Word:
    """A date, a weekday or a day counted from today."""
    choice = rng.random()
    if choice < 0.32:
        shown = f"{rng.randint(1, 12)}月{rng.randint(1, 31)}日"
    elif choice < 0.42:
        shown = f"{rng.randint(1, 31)}日の{rng.choice(_WEEKDAYS)}"
    elif choice < 0.47:
        shown = f"{rng.randint(1, 31)}日"
    elif choice < 0.6:
        shown = rng.choice(("来週の", "今週の", "再来週の", "今度の", "次の", "先週の", "")) + rng.choice(_WEEKDAYS)
    elif choice < 0.66:
        shown = f"{rng.randint(1, 12)}月{rng.randint(1, 31)}日{rng.choice(_WEEKDAYS)}"
    else:
        return Word(*rng.choice(_RELATIVE_DAYS))
    return Word(shown, shown)


def telephone(rng: random.Random) -> Word:
    """A telephone number in three groups, said digit by digit, often with の between groups."""
    choice = rng.random()
    if choice < 0.5:
        groups = [rng.choice(("090", "080", "070", "050", "060")), some_digits(4, rng), some_digits(4, rng)]
    elif choice < 0.72:
        groups = [rng.choice(("03", "06")), rng.choice("3456") + some_digits(3, rng), some_digits(4, rng)]
    elif choice < 0.87:
        groups = [rng.choice(_AREA_CODES), some_digits(3, rng), some_digits(4, rng)]
    elif choice < 0.94:
        groups = ["0120", some_digits(3, rng), some_digits(3, rng)]
    else:
        groups = ["0" + some_digits(3, rng), some_digits(2, rng), some_digits(4, rng)]
    separator = rng.choice(("、", "の、", "の", "、", ""))
    return Word("-".join(groups), separator.join(digits(group, rng) for group in groups))


def code(rng: random.Random, length: int) -> Word:
    """A number that is only a name: said digit by digit."""
    shown = some_digits(length, rng)
    return Word(shown, digits(shown, rng))


def postcode(rng: random.Random) -> Word:
    """A Japanese postcode."""
    first, second = some_digits(3, rng), some_digits(4, rng)
    return Word(f"{first}-{second}", f"{digits(first, rng)}の{digits(second, rng)}")


def amount(rng: random.Random) -> Word:
    """A sum of yen with thousands separated."""
    round_sum = rng.randint(1, 99) * 10 ** rng.choice((2, 3, 3, 4))
    value = round_sum if rng.random() < 0.6 else rng.randint(100, 99_999)
    return Word(f"{value:,}円", f"{value}円")


def count(rng: random.Random) -> Word:
    """A number of something."""
    value = rng.choice((*range(1, 30), 30, 40, 50, 60, 80, 100, 120, 150, 200, 300, 500))
    shown = f"{value}{rng.choice(_COUNTERS)}"
    return Word(shown, shown)


def people(rng: random.Random) -> Word:
    """A party's size."""
    shown = f"{rng.randint(1, 20)}{rng.choice(('名', '人', '名様'))}"
    return Word(shown, shown)


def minutes(rng: random.Random) -> Word:
    """A span of time."""
    shown = rng.choice(
        (*[f"{value}分" for value in (3, 5, 10, 15, 20, 25, 30, 40, 45, 50)], "1時間", "2時間", "1時間半", "3時間")
    )
    return Word(shown, shown)


def temperature(rng: random.Random) -> Word:
    """A body temperature without its unit."""
    shown = f"{rng.randint(36, 39)}.{rng.randint(1, 9)}"
    return Word(shown, shown)
