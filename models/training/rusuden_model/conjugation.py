"""Japanese verbs in, the form a sentence needs out.

Refuses to know: which sentence that is.
"""

_ROWS = {
    "う": "わいうえお",
    "く": "かきくけこ",
    "ぐ": "がぎぐげご",
    "す": "さしすせそ",
    "つ": "たちつてと",
    "ぬ": "なにぬねの",
    "ぶ": "ばびぶべぼ",
    "む": "まみむめも",
    "る": "らりるれろ",
}
_TE = {
    "う": "って",
    "つ": "って",
    "る": "って",
    "む": "んで",
    "ぶ": "んで",
    "ぬ": "んで",
    "く": "いて",
    "ぐ": "いで",
    "す": "して",
}
_SURU = {"masu": "し", "nai": "し", "te": "して", "ba": "すれば", "will": "しよう", "can": "でき", "plain": "する"}


def conjugate(plain: str, group: str, form: str) -> str:
    """`form` is one of masu, nai, te, ta, ba, will, can, plain; stems come without their ending."""
    if form == "ta":
        te = conjugate(plain, group, "te")
        return te[:-1] + ("た" if te[-1] == "て" else "だ")
    if group == "s":
        return plain + _SURU[form]
    stem, last = plain[:-1], plain[-1]
    if form == "plain":
        return plain
    if group == "1":
        return stem + {"masu": "", "nai": "", "te": "て", "ba": "れば", "will": "よう", "can": "られ"}[form]
    row = _ROWS[last]
    if form == "te":
        return stem + ("って" if plain in ("行く",) else _TE[last])
    return stem + {"nai": row[0], "masu": row[1], "ba": row[3] + "ば", "will": row[4] + "う", "can": row[3]}[form]
